/**
 * Counts over time as stacked bars. Drag to narrow the range; the tallest bar carries its number. The sentence above the
 * chart says the same in words, so the drawing is one image to a screen reader.
 */
import { type ReactElement, useEffect, useRef, useState } from 'react';
import uPlot from 'uplot';
import { useTheme } from '../shell/theme-choice.ts';
import { formatCount } from '../text/number.ts';
import { formatMinute } from '../time/format.ts';
import { type AbsoluteRange, brushRange, type Zone } from '../time/range.ts';
import { type Bucket, type Counts, stackOrder } from './counts-data.ts';

export interface CountsChartProps {
  readonly counts: Counts;
  readonly zone: Zone;
  readonly height: number;
  readonly onBrush: (range: AbsoluteRange) => void;
  /** The bucket under the pointer. */
  readonly onHover: (bucket: Bucket | undefined) => void;
  readonly label: string;
}

const barMarks = { success: '--bar', failed: '--bar-failed', denied: '--amber-mark', error: '--red-mark' } as const;
const dragMinPx = 4;
const wideBarPx = 14;

export function CountsChart({ counts, zone, height, onBrush, onHover, label }: CountsChartProps): ReactElement {
  const host = useRef<HTMLDivElement>(null);
  const theme = useTheme();
  const width = useWidth(host);
  const handlers = useRef({ onBrush, onHover });
  useEffect(() => {
    handlers.current = { onBrush, onHover };
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: the theme decides the colours that are read from the page.
  useEffect(() => {
    if (!host.current || width === 0) return;
    const plot = drawCounts(host.current, { counts, zone, width, height, latest: () => handlers.current });
    return () => {
      handlers.current.onHover(undefined);
      plot.destroy();
    };
  }, [counts, zone, width, height, theme]);
  return (
    <div ref={host} role="img" aria-label={label} style={{ height }} className="w-full cursor-crosshair select-none" />
  );
}

type Handlers = Pick<CountsChartProps, 'onBrush' | 'onHover'>;

interface Drawing {
  readonly counts: Counts;
  readonly zone: Zone;
  readonly width: number;
  readonly height: number;
  readonly latest: () => Handlers;
}

function drawCounts(host: HTMLElement, drawing: Drawing): uPlot {
  const { counts, zone, width, height, latest } = drawing;
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string): string => style.getPropertyValue(name).trim();
  const font = '11px "Inter Variable", sans-serif';
  // A gap of whole pixels, so that many bars stay bars.
  const gap = width / counts.buckets.length > wideBarPx ? 2 : 1;
  const bars = uPlot.paths.bars?.({ size: [1, 48], gap, align: 1, radius: 0.12 });
  const topmost = counts.peak?.total ?? 1;
  const options: uPlot.Options = {
    width,
    height,
    padding: [18, 0, 0, 0],
    legend: { show: false },
    ...(zone === 'utc' && { tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC') }),
    cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false, dist: dragMinPx } },
    scales: {
      x: { range: [counts.fromMs / 1000, counts.toMs / 1000] },
      y: { range: [0, Math.max(topmost, 4)] },
    },
    axes: [
      {
        font,
        stroke: colour('--ink-3'),
        grid: { show: false },
        ticks: { show: true, stroke: colour('--line-strong'), size: 4, width: 1 },
        size: 24,
        gap: 2,
        space: 88,
        values: timeMarks,
      },
      {
        font,
        stroke: colour('--ink-3'),
        grid: { stroke: colour('--line'), width: 1 },
        ticks: { show: false },
        size: 40,
        gap: 6,
        space: 32,
        incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 1_000_000],
        values: (_plot, splits) => splits.map((split) => (split === 0 ? '0' : shortCount(split))),
      },
    ],
    // The tallest is drawn first, so that each lower part lies over it.
    series: [
      {},
      ...stackOrder.toReversed().map((status): uPlot.Series => {
        const fill = colour(barMarks[status]);
        return { fill, width: 0, points: { show: false }, ...(bars && { paths: bars }) };
      }),
    ],
    hooks: {
      draw: [(plot) => labelPeak(plot, counts, { font, ink: colour('--ink-2') })],
      setCursor: [(plot) => latest().onHover(plot.cursor.idx == null ? undefined : counts.buckets[plot.cursor.idx])],
      setSelect: [
        (plot) => {
          const { left, width: selected } = plot.select;
          if (selected < dragMinPx) return;
          const aMs = plot.posToVal(left, 'x') * 1000;
          const bMs = plot.posToVal(left + selected, 'x') * 1000;
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          latest().onBrush(
            brushRange({ aMs, bMs, stepMs: counts.stepMs, originMs: counts.buckets[0]?.timeMs ?? counts.fromMs }),
          );
        },
      ],
    },
  };
  const data: uPlot.AlignedData = [
    counts.buckets.map((bucket) => bucket.timeMs / 1000),
    ...stackOrder
      .toReversed()
      .map((status) => counts.tops[status].map((top, i) => (counts.buckets[i]?.counts[status] ? top : null))),
  ];
  return new uPlot(options, data, host);
}

function labelPeak(plot: uPlot, counts: Counts, look: { font: string; ink: string }): void {
  if (!counts.peak) return;
  const { ctx } = plot;
  const ratio = devicePixelRatio;
  const text = formatCount(counts.peak.total);
  ctx.save();
  ctx.font = look.font.replace('11px', `${11 * ratio}px`);
  ctx.fillStyle = look.ink;
  ctx.textBaseline = 'bottom';
  const half = ctx.measureText(text).width / 2;
  const centre = plot.valToPos((counts.peak.timeMs + counts.stepMs / 2) / 1000, 'x', true);
  const x = Math.min(Math.max(centre - half, plot.bbox.left), plot.bbox.left + plot.bbox.width - 2 * half);
  ctx.fillText(text, x, plot.valToPos(counts.peak.total, 'y', true) - 3 * ratio);
  ctx.restore();
}

/** Times under the bars: the clock within a day, the date where a day begins. */
function timeMarks(plot: uPlot, splits: number[], _axis: number, _space: number, incrementS: number): string[] {
  const toDate = (seconds: number): Date =>
    (plot as unknown as { tzDate?: (s: number) => Date }).tzDate?.(seconds) ?? new Date(seconds * 1000);
  const pad = (n: number): string => String(n).padStart(2, '0');
  const right = plot.bbox.width / devicePixelRatio;
  return splits.map((split) => {
    // A label at the edge would be cut off.
    if (right - plot.valToPos(split, 'x') < labelHalfPx) return '';
    const date = toDate(split);
    const midnight = date.getHours() === 0 && date.getMinutes() === 0 && date.getSeconds() === 0;
    if (incrementS >= 86_400 || midnight) return `${date.getDate()} ${months[date.getMonth()]}`;
    const clock = `${pad(date.getHours())}:${pad(date.getMinutes())}`;
    return incrementS < 60 ? `${clock}:${pad(date.getSeconds())}` : clock;
  });
}

const labelHalfPx = 18;
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

function shortCount(n: number): string {
  if (n >= 1_000_000) return `${n / 1_000_000}M`;
  return n >= 10_000 ? `${n / 1000}k` : formatCount(n);
}

function useWidth(host: { readonly current: HTMLElement | null }): number {
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const observer = new ResizeObserver(([entry]) => setWidth(Math.floor(entry?.contentRect.width ?? 0)));
    observer.observe(element);
    return () => observer.disconnect();
  }, [host]);
  return width;
}

/** The bucket under the pointer in words: `14:20 to 14:25`. */
export function describeBucket(bucket: Bucket, stepMs: number, zone: Zone): string {
  const from = formatMinute(bucket.timeMs, zone);
  const to = formatMinute(bucket.timeMs + stepMs, zone);
  return from.slice(0, -5) === to.slice(0, -5) ? `${from}–${to.slice(-5)}` : `${from} – ${to}`;
}
