// The result file of a Node.js bot: the envelope around what its `main` resolved to. `botdock.entrypoints.result` says
// what stands in an envelope.
'use strict';

const { closeSync, constants, openSync, writeSync } = require('node:fs');
const { stringify } = JSON; // the bot may replace what it finds; what is taken here stays

const MAX_MESSAGE = 2000;

class Result {
  #value;
  #facts = { botdock: 1, nonfinite: 0, problem: '', error: null };

  constructor(context) {
    this.path = context.result_file;
    this.limit = context.result_limit;
    this.isBacktest = context.entrypoint === 'backtest';
  }

  // Keep what `main` resolved to (undefined is no value), and return whether the bot has failed by it.
  take(value) {
    if (value !== undefined) {
      const { text, nonfinite, problem } = toJSON(value);
      Object.assign(this.#facts, { nonfinite, problem });
      this.#value = text;
      if (this.#envelope(0).length > this.limit) {
        this.#facts.problem = `longer than the ${this.limit} bytes that a result may have`;
        this.#value = undefined;
      }
    }
    return value?.status === 'error' || (this.isBacktest && this.#facts.problem !== '');
  }

  // Keep what ended the bot; the first such error is the cause of the others.
  fail(error) {
    if (this.#facts.error !== null) return;
    const isError = error instanceof Error;
    const message = isError ? textOf(error.message) : textOf(error);
    this.#facts.error = { type: isError ? textOf(error.name) : typeof error, message: message.slice(0, MAX_MESSAGE) };
  }

  // Write the envelope; where there is no room for all of it, what matters most.
  write(exitCode) {
    if (this.#put(this.#envelope(exitCode))) return;
    this.#facts.problem ||= 'it could not be written into the result file';
    this.#value = undefined;
    if (!this.#put(this.#envelope(exitCode))) this.#put(Buffer.from(stringify({ botdock: 1, exit_code: exitCode })));
  }

  #envelope(exitCode) {
    const has_value = this.#value !== undefined;
    const facts = stringify({ ...this.#facts, exit_code: exitCode, has_value });
    return Buffer.from(has_value ? `${facts.slice(0, -1)},"value":${this.#value}}` : facts);
  }

  #put(data) {
    if (data.length > this.limit) return false;
    try {
      const file = openSync(this.path, constants.O_WRONLY | constants.O_TRUNC);
      try {
        for (let at = 0; at < data.length; ) at += writeSync(file, data, at);
      } finally {
        closeSync(file);
      }
    } catch {
      return false;
    }
    return true;
  }
}

// Return a value as JSON, how many of its numbers became null, and why it is no JSON.
function toJSON(value) {
  let nonfinite = 0;
  let at = '';
  const watch = (key, item) => {
    at = key;
    if (typeof item === 'number' && !Number.isFinite(item)) nonfinite += 1;
    return item;
  };
  try {
    const text = plainJSON(value) ?? stringify(value, watch);
    return { text, nonfinite, problem: text === undefined ? `not JSON: a ${typeof value}` : '' };
  } catch (error) {
    return { nonfinite: 0, problem: `not JSON: at '${at}': ${textOf(error?.message)}`.slice(0, MAX_MESSAGE) };
  }
}

// The fast way; undefined for a value that needs a closer look.
function plainJSON(value) {
  try {
    const text = stringify(value);
    return text?.includes('null') ? undefined : text;
  } catch {
    return undefined;
  }
}

function textOf(value) {
  try {
    return String(value);
  } catch {
    return '(it has no text)';
  }
}

module.exports = { Result };
