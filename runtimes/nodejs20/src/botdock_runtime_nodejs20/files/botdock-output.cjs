// Lets nothing that a bot has printed wait in Node: a pipe takes it at once, and a worker writes by itself instead of
// handing it to a main thread that may be busy, or over. The wrapper requires this file; each worker, and each program of
// Node that the bot starts, loads it. Only a pipe is the bot's own output: what a program prints for a parent in Node goes
// through a socket, and is left to Node, as that parent may never read it.
'use strict';

const { fstatSync, writeSync } = require('node:fs');
const { syncBuiltinESMExports } = require('node:module');
const workers = require('node:worker_threads');

const DESCRIPTORS = { stdout: 1, stderr: 2 };
const LOAD = ['--require', __filename];
const KEPT = 'botdock: streams that its parent reads';

// Write out all of it. A child that shares the pipe may have made it one that does not wait.
function writeAll(descriptor, data) {
  for (let at = 0; at < data.length; ) {
    try {
      at += writeSync(descriptor, data, at);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

function writeByItself(stream, descriptor) {
  stream._writev = null;
  stream._write = (chunk, encoding, done) => {
    try {
      writeAll(descriptor, typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk);
      done();
    } catch (error) {
      done(error);
    }
  };
}

// Let every worker load this file, and know which of its streams the thread that makes it wants to read.
function watchWorkers() {
  workers.Worker = new Proxy(workers.Worker, {
    construct(Worker, [script, options, ...others], target) {
      const execArgv = [...(options?.execArgv ?? process.execArgv), ...LOAD];
      workers.setEnvironmentData(KEPT, { stdout: Boolean(options?.stdout), stderr: Boolean(options?.stderr) });
      return Reflect.construct(Worker, [script, { ...options, execArgv }, ...others], target);
    },
  });
  syncBuiltinESMExports();
}

// Let every Node that the bot starts load this file, as it starts: a child by `fork` hears of it whatever its variables.
function watchPrograms() {
  const file = /[\s"\\]/.test(__filename) ? JSON.stringify(__filename) : __filename;
  process.env.NODE_OPTIONS = [process.env.NODE_OPTIONS, '--require', file].filter(Boolean).join(' ');
}

function isPipe(descriptor) {
  try {
    return fstatSync(descriptor).isFIFO();
  } catch {
    return false; // it is closed
  }
}

// Let pipes wait for their reader, as Node itself expects when it shows an error; a child may have changed that.
function block() {
  for (const stream of streams) stream._handle?.setBlocking?.(true);
}

function finish() {
  for (const stream of streams) while (stream.writableCorked) stream.uncork();
  block();
}

const kept = (!workers.isMainThread && workers.getEnvironmentData(KEPT)) || {};
const names = Object.keys(DESCRIPTORS).filter((name) => !kept[name] && isPipe(DESCRIPTORS[name]));
const streams = names.map((name) => process[name]);
for (const name of names) writeByItself(process[name], DESCRIPTORS[name]);
block();
process.on('exit', finish);
watchWorkers();
if (!process.execArgv.includes(__filename)) process.execArgv.push(...LOAD);
module.exports = { watchPrograms };
