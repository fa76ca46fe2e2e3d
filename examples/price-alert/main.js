// Prints an alert when a price crosses a level, until it is told to stop. The feed is a file, played over and over.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const prices = JSON.parse(readFileSync(new URL('./feed.json', import.meta.url), 'utf8'));

export async function main(id, config, { signal }) {
  const { above = 102, below = 98, interval = 100, max_ticks: maxTicks = Infinity } = config;
  let ticks = 0;
  let alerts = 0;
  let zone = 'inside';
  console.log(`${id}: watching, alerts above ${above} and below ${below}`);
  try {
    while (ticks < maxTicks) {
      const price = prices[ticks % prices.length];
      const now = price > above ? 'above' : price < below ? 'below' : 'inside';
      if (now !== zone && now !== 'inside') {
        alerts += 1;
        console.log(`ALERT ${price.toFixed(2)} is ${now} ${now === 'above' ? above : below}`);
      }
      zone = now;
      ticks += 1;
      await sleep(interval, undefined, { signal });
    }
  } catch (error) {
    if (error.name !== 'AbortError') throw error;
    console.log('stopped, goodbye');
  }
  return { ticks, alerts };
}
