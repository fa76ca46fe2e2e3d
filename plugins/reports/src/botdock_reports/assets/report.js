// Draws the plots of the page with uPlot, anew when the colours, the width or the medium change.
(() => {
  "use strict";
  const HEIGHT = 300, COLOURS = 8, PAPER = 680, DASHES = [[], [6, 4], [2, 3]];
  const plots = JSON.parse(document.getElementById("plots").textContent);
  const root = document.documentElement;
  let charts = [];

  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  // A range of a width that floats can divide into steps, whatever the values are.
  const widened = (low, high) => {
    if (low === null || high === null || low === undefined || high === undefined) return [0, 1];
    const least = Math.max(Math.abs(low), Math.abs(high)) * 1e-6;
    return high - low > least ? null : [low - (least || 0.5), high + (least || 0.5)];
  };

  const seriesOf = (one, at) => {
    const stroke = colour(`--c${at % COLOURS}`);
    const dash = DASHES[Math.floor(at / COLOURS) % DASHES.length];
    const common = { label: one.name, stroke, dash, width: 1.5, value: (_, y) => (y === null || y === undefined ? "–" : String(+y.toPrecision(7))) };
    if (one.kind === "points") return { ...common, paths: () => null, points: { show: true, size: 6, fill: stroke } };
    if (one.kind === "bars") return { ...common, fill: `${stroke}55`, paths: uPlot.paths.bars({ size: [0.7, 60] }), points: { show: false } };
    if (one.kind === "steps") return { ...common, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } };
    return { ...common, points: { show: one.y.length < 2, size: 6 } };
  };

  const axisOf = (more) => ({ stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 }, ...more });

  const labelled = (labels) => ({
    values: (_, splits) => splits.map((at) => (Number.isInteger(at) && labels[at] !== undefined ? cut(labels[at], 14) : "")),
    incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 1e4, 1e5],
  });

  const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

  const xValue = (plot) => (_, x) => {
    if (x === null || x === undefined) return "–";
    if (plot.axis === "text") return cut(plot.labels[x] ?? "", 40);
    if (plot.axis !== "time") return String(+x.toPrecision(10));
    return new Date(x * 1e3).toISOString().replace("T", " ").replace(/( 00:00:00)?\.000Z$/, "");
  };

  const draw = (plot, holder, width) => {
    const all = plot.groups.flatMap((group) => group.series);
    const tables = plot.groups.map((group) => [group.x, ...group.series.map((one) => one.y)]);
    const hasBars = all.some((one) => one.kind === "bars");
    const options = {
      width, height: HEIGHT,
      tzDate: (x) => uPlot.tzDate(new Date(x * 1e3), "Etc/UTC"),
      cursor: { drag: { x: true, y: false } },
      scales: {
        x: { time: plot.axis === "time", range: (_, low, high) => widened(low, high) ?? (hasBars || plot.axis === "text" ? uPlot.rangeNum(low, high, { min: { pad: 0.04 }, max: { pad: 0.04 } }) : [low, high]) },
        y: { range: (_, low, high) => { if (hasBars) { low = Math.min(low, 0); high = Math.max(high, 0); } return widened(low, high) ?? uPlot.rangeNum(low, high, 0.08, true); } },
      },
      axes: [axisOf(plot.axis === "text" ? labelled(plot.labels) : {}), axisOf({ size: 64 })],
      series: [{ label: plot.axis === "time" ? "time" : "x", value: xValue(plot) }, ...all.map(seriesOf)],
    };
    return new uPlot(options, tables.length > 1 ? uPlot.join(tables) : tables[0], holder);
  };

  const drawAll = (width) => {
    charts.forEach(({ chart }) => chart.destroy());
    charts = [];
    for (const figure of document.querySelectorAll("figure[data-plot]")) {
      const holder = figure.querySelector(".chart");
      holder.textContent = "";
      try {
        charts.push({ holder, chart: draw(plots[Number(figure.dataset.plot)], holder, width ?? holder.clientWidth) });
      } catch (error) {
        holder.textContent = `This plot cannot be drawn: ${error.message}`;
        console.error(error);
      }
    }
    root.dataset.drawn = String(charts.length);
  };

  drawAll();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll());
  addEventListener("resize", () => charts.forEach(({ chart, holder }) => chart.setSize({ width: holder.clientWidth, height: HEIGHT })));
  addEventListener("beforeprint", () => { root.classList.add("paper"); drawAll(PAPER); });
  addEventListener("afterprint", () => { root.classList.remove("paper"); drawAll(); });
})();
