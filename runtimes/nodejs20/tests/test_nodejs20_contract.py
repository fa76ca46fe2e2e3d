"""Node.js 20, held to what every runtime promises: once with CommonJS, once with ES modules."""

import attrs

from botdock_runtime_nodejs20.runtime import NODEJS20
from botdock_testing import RuntimeContract


class TestCommonJS(RuntimeContract):
    runtime = NODEJS20
    echo = "module.exports = (id, config) => ({ id, config, environment: { ...process.env } });"
    exits = "exports.main = () => process.exit(7);"
    waits = """
exports.main = () => {
  process.on("SIGTERM", () => { console.log("stopped"); process.exit(3); });
  console.log("waiting");
  return new Promise(() => setInterval(() => {}, 1000));
};
"""


class TestESModules(RuntimeContract):
    runtime = attrs.evolve(NODEJS20, suffixes=(".mjs",), scripts={"bot": ("main.mjs",), "backtest": ("backtest.mjs",)})
    echo = "export const main = async (id, config) => ({ id, config, environment: { ...process.env } });"
    exits = "await 0; process.exit(7); export default 1;"
    waits = """
import { setTimeout } from "node:timers/promises";

export default async function main(id, config, { signal }) {
  try {
    console.log("waiting");
    await setTimeout(600_000, undefined, { signal });
  } finally {
    console.log("stopped");
    process.exit(3);
  }
}
"""
