// What the text of a Node.js script tells: whether it is a bot, whose `main` is called, or a program of its own.
'use strict';

const COMMENT = /\/\*[^]*?\*\/|^\s*\/\/.*$/gm;
const EXPORTS = /\bexports?\b|\bthis\s*\.\s*(main|default)\s*=/;
const MAIN = new RegExp(
  [
    /exports\s*(\.\s*|\[\s*['"`])(main|default)\b/, // exports.main = …
    /exports\s*=\s*(?!\{)\S/, // module.exports = main
    /\(\s*(module\.)?exports\s*,/, // Object.assign(exports, …)
    /\bthis\s*\.\s*(main|default)\s*=/, // which is what it exports
    /\bexport\s+(default\b|\*|(async\s+)?function[\s*]+main\b|(const|let|var|class)\s+main\b)/,
    /\bexport\s*\{[^}]*\b(main|default)\b/,
    /\bexport\s+(const|let|var)\s*[{[][^}\]]*\bmain\b/,
  ]
    .map((each) => each.source)
    .join('|'),
);
const OBJECT = /exports\s*=\s*\{/g;
const MEMBER = /\b(main|default)\b|\.\.\./;
const GUARD = /\brequire\.main\b|\bprocess\.argv\s*\[\s*1\s*\]|\bimport\.meta\.main\b|\bmodule\.parent\b/;
const NAMED = /(?:\bexports(?:\.(?:main|default))?\s*=|\bexport\s+default)\s+(?:async\s+)?(?:(class|function)\b\s*)?([\w$]*)/g;
const DATA = /\/\*[^]*?\*\/|\/\/.*|'(?:[^'\\\n]|\\[^])*'|"(?:[^"\\\n]|\\[^])*"|`(?:[^`\\]|\\[^])*`|(?<=[=(,:[!&|?{;] ?)\/(?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\//g;
const ASSIGNED = /\b(?:const|let|var)\s+[\w$]+\s*=\s*([\w$]+)\s*\(/g;
const MAX_READ = 512 * 1024; // characters of a script whose statements are looked at; a bundle is longer
const OPENS = '([{';
const CLOSES = ')]}';
const PIECE = /([^()[\]{}]*)([()[\]{}]|$)/g;
const STATEMENT = '(?:^|[;}\\n])[ \\t]*';
const WORKS = new RegExp(
  `\\bawait\\b|${STATEMENT}(?:(?:void|for|while|try|throw|new)\\b|!?\\(|` +
    '(?!(?:require|import|if|switch)\\b|Object\\.(?:define|assign)|__)[\\w$.]+\\s*(?:\\?\\.)?\\()',
);
// What does something by itself; a package that is required may set something up, and that is all.

// Whether a script is a program of its own: it exports nothing; or no `main`, and it does something, or looks whether it
// is the program that was started; or it calls by itself what it exports as its `main`.
function isProgram(script) {
  const source = script.replace(COMMENT, '');
  if (!EXPORTS.test(source)) return true;
  const top = source.length <= MAX_READ ? outline(source) : '';
  const isGuarded = GUARD.test(source);
  const names = namesOfMain(source);
  if (names === null) return isGuarded || works(top);
  return !isGuarded && names.some((name) => isUsed(name, top));
}

// The names that what it exports as its `main` has in the script; null where it exports none. A class is none, unless it
// has a static one.
function namesOfMain(source) {
  const objects = [...source.matchAll(OBJECT)].map((found) => literal(source, found.index + found[0].length));
  if (!MAIN.test(source) && !objects.some((each) => MEMBER.test(each))) return null;
  const named = [...source.matchAll(NAMED)];
  const isClass = ([, keyword, name]) => keyword === 'class' || (name !== '' && defines('class', name, source));
  if (named.length && named.every(isClass) && !/\bstatic\s+(async\s+)?main\b/.test(source)) return null;
  return ['main', ...named.map(([, , name]) => name).filter(Boolean)];
}

// Whether a statement at the top level calls it, or a method of it.
function isUsed(name, top) {
  const call = `(?:await\\s+|void\\s+)?${escape(name)}(?:\\.[\\w$]+)?\\s*\\(`;
  return new RegExp(`(?:${STATEMENT}|\\b(?:const|let|var)\\s+[\\w$]+\\s*=\\s*)${call}`).test(top);
}

function escape(name) {
  return name.replaceAll('$', '\\$');
}

function works(top) {
  return WORKS.test(top) || [...top.matchAll(ASSIGNED)].some(([, name]) => defines('function', name, top));
}

function defines(keyword, name, source) {
  return new RegExp(`\\b${keyword}\\s+${escape(name)}\\b`).test(source);
}

// What of a script stands outside all brackets, without comments and texts.
function outline(source) {
  const pieces = [];
  let depth = 0;
  for (const [piece, , bracket] of source.replace(DATA, "''").matchAll(PIECE)) {
    if (depth === 0 || (depth === 1 && CLOSES.includes(bracket))) pieces.push(depth === 0 ? piece : bracket);
    if (OPENS.includes(bracket)) depth += 1;
    else if (bracket) depth = Math.max(0, depth - 1);
  }
  return pieces.join('');
}

// The rest of an object's literal, up to the brace that ends it.
function literal(source, start) {
  let at = start;
  for (let depth = 1; depth && at < source.length; at += 1) depth += { '{': 1, '}': -1 }[source[at]] ?? 0;
  return source.slice(start, at);
}

module.exports = { isProgram };
