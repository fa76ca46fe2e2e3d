// A CommonJS bot: the module itself is the function. It ranks symbols by their momentum.
const { momentum } = require('./lib/momentum');

module.exports = (id, config) => {
  const closes = config.closes ?? { BTC: [100, 104, 109], ETH: [50, 49, 51], SOL: [20, 23, 22] };
  const ranking = Object.entries(closes)
    .map(([symbol, prices]) => ({ symbol, momentum: momentum(prices) }))
    .sort((a, b) => b.momentum - a.momentum);
  for (const { symbol, momentum: value } of ranking) console.log(`${symbol} ${(100 * value).toFixed(2)}%`);
  return { bot: id, best: ranking[0].symbol, ranking };
};
