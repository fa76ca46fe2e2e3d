"""Run Node.js 22 bots with botdock."""
