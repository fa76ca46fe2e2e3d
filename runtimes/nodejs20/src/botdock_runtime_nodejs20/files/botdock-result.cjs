// The result file of a Node.js bot: the envelope around what its `main` resolved to. `botdock.entrypoints.result` says
// what stands in an envelope.
'use strict';

const { closeSync, constants, ftruncateSync, openSync, writeSync } = require('node:fs');
const { stringify } = JSON; // the bot may replace what it finds; what is taken here stays

const MAX_MESSAGE = 2000;
const CANNOT_WRITE = 74; // what a bot exits with that ended well, but whose result cannot be written at all

class Result {
  #value = Buffer.alloc(0);
  #facts = { botdock: 2, nonfinite: 0, problem: '', lost: '', error: null };

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
      this.#value = Buffer.from(text ?? '');
      if (this.#value.length > this.limit) {
        this.#facts.problem = `longer than the ${this.limit} bytes that a result may have`;
        this.#value = Buffer.alloc(0);
      }
    }
    return value?.status === 'error' || (this.isBacktest && this.#facts.problem !== '');
  }

  // Keep what ended the bot; the first such error is the cause of the others.
  fail(error) {
    if (this.#facts.error !== null) return;
    const isError = error instanceof Error;
    const type = isError ? textOf(error.name) : typeof error;
    const message = isError ? textOf(error.message) : textOf(error);
    this.#facts.error = { type: type.slice(0, MAX_MESSAGE), message: message.slice(0, MAX_MESSAGE) };
  }

  // Write the envelope, and return what to exit with: another code where the file cannot even be emptied. Where there is
  // no room for the value, the envelope says so; where there is none for that, the file is not whole.
  write(exitCode) {
    let file;
    try {
      file = openSync(this.path, constants.O_WRONLY | constants.O_TRUNC);
    } catch {
      return exitCode || CANNOT_WRITE;
    }
    try {
      writeAll(file, this.#envelope(exitCode));
    } catch (error) {
      this.#facts.lost = this.#value.length ? textOf(error.message) : '';
      this.#value = Buffer.alloc(0);
      try {
        ftruncateSync(file, 0);
        writeAll(file, this.#envelope(exitCode));
      } catch {
        // The runner sees that it is damaged.
      }
    }
    closeSync(file);
    return exitCode;
  }

  #envelope(exitCode) {
    const header = stringify({ ...this.#facts, exit_code: exitCode, value_bytes: this.#value.length });
    return Buffer.concat([Buffer.from(`${header}\n`), this.#value]);
  }
}

function writeAll(file, data) {
  for (let at = 0; at < data.length; ) at += writeSync(file, data, at, data.length - at, at);
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
