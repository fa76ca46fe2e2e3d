"""Run Node.js 20 bots with botdock."""
