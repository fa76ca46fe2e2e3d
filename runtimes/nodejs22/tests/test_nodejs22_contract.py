"""Node.js 22, held to what every runtime promises."""

from botdock_runtime_nodejs22.plugin import NODEJS22
from botdock_testing import RuntimeContract


class TestNodejs22(RuntimeContract):
    runtime = NODEJS22
    echo = "module.exports = (id, config) => ({ id, config, environment: { ...process.env } });"
    exits = "exports.main = () => process.exit(7);"
    waits = """
exports.main = () => {
  process.on("SIGTERM", () => { console.log("stopped"); process.exit(3); });
  console.log("waiting");
  return new Promise(() => setInterval(() => {}, 1000));
};
"""
