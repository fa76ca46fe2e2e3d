exports.momentum = (prices) => prices.at(-1) / prices[0] - 1;
