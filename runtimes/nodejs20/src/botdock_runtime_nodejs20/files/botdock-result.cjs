// The result file of a Node.js bot: the envelope around what its `main` resolved to. `botdock.entrypoints.result` says
// what stands in an envelope.
'use strict';

const { closeSync, constants, existsSync, ftruncateSync, openSync, readFileSync, writeSync } = require('node:fs');
const { parse, stringify } = JSON; // the bot may replace what it finds; what is taken here stays

const MAX_MESSAGE = 2000;
const MAX_PATH = 200; // characters of the way to a part of a value; a longer one is left out, for it may hold a secret
const WITHOUT_FORM = [Promise, WeakMap, WeakSet, WeakRef, RegExp, ArrayBuffer, DataView];
const BOXES = [Number, String, Boolean, BigInt];
const NOT_FOUND = ['MODULE_NOT_FOUND', 'ERR_MODULE_NOT_FOUND'];
const UNREACHABLE = ['EAI_AGAIN', 'ENOTFOUND', 'ENETUNREACH'];
const MAX_CAUSES = 10; // errors, each the cause of the one before, of which one may have a hint
const CANNOT_WRITE = 74; // what a bot exits with that ended well, but whose result cannot be written at all

class Result {
  #value = Buffer.alloc(0);
  #facts = { botdock: 2, nonfinite: 0, problem: '', lost: '', error: null };

  constructor(context) {
    this.isAwaited = true; // whether a `main` has yet to settle
    this.path = context.result_file;
    this.tree = context.code_dir;
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
    const hint = hintOf(error, this.tree);
    this.#facts.error = Object.fromEntries(
      Object.entries({ type, message, hint }).map(([name, text]) => [name, text.slice(0, MAX_MESSAGE)]),
    );
  }

  // Write the envelope, and return what to exit with: another code where the file cannot even be emptied. Where there is
  // no room for the value, the envelope says so; where there is none for that, the file is not whole.
  // `signal` is the number of the one for which the bot ends, else 0.
  write(exitCode, signal) {
    this.#facts.signal = signal;
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

// Say what mends an error that this place is the cause of: a package, a network or a folder to write to is not there.
function hintOf(error, tree) {
  try {
    const causes = [error];
    while (causes.length < MAX_CAUSES && causes.at(-1)?.cause) causes.push(causes.at(-1).cause);
    return causes.map((each) => missing(each, tree) || denied(each)).find(Boolean) ?? '';
  } catch {
    return ''; // there is no package.json, or it or the error is of the bot's own making
  }
}

// Say that a package is not there, of a bot that lists some and has not brought it.
function missing(error, tree) {
  const [, asked] = /^Cannot find (?:module|package) '([^']+)'/.exec(error.message) ?? [];
  if (!NOT_FOUND.includes(error.code) || !asked || /^[./]/.test(asked)) return '';
  const name = asked.split('/', asked.startsWith('@') ? 2 : 1).join('/');
  const { dependencies = {} } = parse(readFileSync(`${tree}/package.json`, 'utf8').replace(/^\uFEFF/, ''));
  if (!Object.keys(dependencies).length || existsSync(`${tree}/node_modules/${name}`)) return '';
  const listed = name in dependencies ? 'is listed in package.json' : 'is to be listed in package.json';
  return `there is no package '${name}'; where it ${listed}, \`botdock pack --vendor\` brings it into the archive`;
}

// Say what a bot may use that has written where it cannot, or called where nothing is.
function denied({ code }) {
  if (code === 'EROFS') return 'only $TMPDIR and $HOME can be written to; what is to be kept is returned or printed';
  const isAlone = () => readFileSync('/proc/net/route', 'latin1').trim().split('\n').length <= 1; // nothing but its head
  if (!UNREACHABLE.includes(code) || !isAlone()) return '';
  return 'this run has no network; --network names one that policy.networks allows';
}

function writeAll(file, data) {
  for (let at = 0; at < data.length; ) at += writeSync(file, data, at, data.length - at, at);
}

// Return a value as JSON, how many of its numbers became null, and what of it has no form in JSON.
function toJSON(value) {
  const plain = new Plain();
  try {
    const text = plainJSON(value) ?? stringify(plain.copy(value, '$'));
    const problem = plain.problem || (text === undefined ? `not JSON: $ is of type ${typeof value}` : '');
    return { text: problem && (text ?? 'null') === 'null' ? '' : text, nonfinite: plain.nonfinite, problem };
  } catch (error) {
    const said = error instanceof RangeError ? 'it is nested too deep' : textOf(error?.message ?? error);
    return { nonfinite: 0, problem: `not JSON: ${said}`.slice(0, MAX_MESSAGE) };
  }
}

// The fast way; undefined for a value that needs a closer look: a Map, a Set or a Promise would be an empty object.
function plainJSON(value) {
  try {
    const text = stringify(value);
    return /null|\{\}|\{"0":/.test(text ?? 'null') ? undefined : text;
  } catch {
    return undefined;
  }
}

// Copies a value into what JSON knows. The first part that has no form becomes null, and is the problem.
class Plain {
  nonfinite = 0;
  problem = '';
  #within = new Set();

  copy(given, path) {
    const own = typeof given?.toJSON === 'function' ? given.toJSON() : given;
    const value = BOXES.some((kind) => own instanceof kind) ? own.valueOf() : own;
    if (typeof value === 'bigint') return value.toString();
    if (typeof value === 'number' && !Number.isFinite(value)) {
      this.nonfinite += 1;
      return null;
    }
    if (typeof value !== 'object' || value === null) return value;
    if (this.#within.has(value)) return this.#without(path, 'holds itself');
    this.#within.add(value);
    const copied = this.#object(value, path);
    this.#within.delete(value);
    return copied;
  }

  #object(value, path) {
    if (value instanceof Map) return this.#members([...value].map(([key, item]) => [this.#key(key, path), item]), path);
    if (Array.isArray(value) || value instanceof Set || (ArrayBuffer.isView(value) && !(value instanceof DataView))) {
      return Array.from(value, (item, place) => this.copy(item, `${path}[${place}]`));
    }
    if (value instanceof Error) return { name: textOf(value.name), message: textOf(value.message) };
    if (WITHOUT_FORM.some((kind) => value instanceof kind)) {
      const hint = value instanceof Promise ? ': await it' : '';
      return this.#without(path, `is of type ${typeOf(value)}${hint}`);
    }
    return this.#members(Object.entries(value), path);
  }

  #members(entries, path) {
    return Object.fromEntries(entries.map(([key, item]) => [key, this.copy(item, `${path}.${key}`)]));
  }

  #key(key, path) {
    if (key instanceof Date) return key.toJSON();
    if (Object(key) === key || typeof key === 'symbol') this.#without(path, `has a key of type ${typeOf(key)}`);
    return textOf(key);
  }

  #without(path, said) {
    this.problem ||= `not JSON: ${path.length <= MAX_PATH ? path : 'a value'} ${said}`;
    return null;
  }
}

function typeOf(value) {
  return Object(value) === value ? textOf(value.constructor?.name) : typeof value;
}

function textOf(value) {
  try {
    return String(value);
  } catch {
    return '(it has no text)';
  }
}

module.exports = { Result };
