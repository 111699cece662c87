import { useComputedColorScheme } from '@mantine/core'
import { BarChart } from 'echarts/charts'
import { GridComponent, TooltipComponent } from 'echarts/components'
import { init, use } from 'echarts/core'
import { CanvasRenderer } from 'echarts/renderers'
import { useEffect, useMemo, useRef } from 'react'
import { formatCount } from '../../format/amount.ts'
import { formatAbsolute } from '../../format/time.ts'
import { type Buckets, bucketHours, type Hour, widthText } from './bucket.ts'

use([BarChart, GridComponent, TooltipComponent, CanvasRenderer])

const HOUR_MS = 3_600_000
const TIME_CHARS = 'YYYY-MM-DD HH:MM'.length
const DAY_HOURS = 24
/** A bar of one hour alone would be as wide as its card. */
const BAR_WIDTH_MAX_PX = 32

function timeOf(ms: number): string {
  return formatAbsolute(ms).slice(0, TIME_CHARS)
}

function optionOf({ bars, widthHours }: Buckets, colour: string, ink: string) {
  const label = { color: ink, fontSize: 11, hideOverlap: true }
  return {
    animation: false,
    grid: { left: 52, right: 4, top: 8, bottom: 20 },
    // The rich text form draws on the canvas: the other one needs inline styles, which the policy refuses.
    tooltip: {
      trigger: 'axis',
      renderMode: 'richText',
      valueFormatter: (value: unknown) => `${formatCount(Number(value))} predictions`,
    },
    xAxis: {
      type: 'category',
      data: bars.map(({ fromMs }) => (widthHours < DAY_HOURS ? timeOf(fromMs).slice(5) : timeOf(fromMs).slice(0, 10))),
      axisLabel: label,
      axisTick: { show: false },
      axisLine: { lineStyle: { color: ink, opacity: 0.4 } },
    },
    yAxis: {
      type: 'value',
      splitNumber: 2,
      minInterval: 1,
      axisLabel: { ...label, formatter: formatCount },
      splitLine: { lineStyle: { color: ink, opacity: 0.2 } },
    },
    series: [
      {
        type: 'bar',
        name: '',
        data: bars.map(({ predictions }) => predictions),
        itemStyle: { color: colour },
        barCategoryGap: '20%',
        barMaxWidth: BAR_WIDTH_MAX_PX,
      },
    ],
  }
}

/** How many predictions there were over time, all that the count beside it has. */
export function HourChart({ hours }: { hours: readonly Hour[] }) {
  const buckets = useMemo(() => bucketHours(hours), [hours])
  const place = useRef<HTMLDivElement>(null)
  const scheme = useComputedColorScheme('light')
  useEffect(() => {
    const element = place.current
    if (element === null || scheme === undefined) return
    const chart = init(element)
    const style = getComputedStyle(document.documentElement)
    chart.setOption(optionOf(buckets, style.getPropertyValue('--series-1'), style.getPropertyValue('--ink-soft')))
    const observer = new ResizeObserver(() => chart.resize())
    observer.observe(element)
    return () => {
      observer.disconnect()
      chart.dispose()
    }
  }, [buckets, scheme])
  const most = buckets.bars.reduce((max, bar) => Math.max(max, bar.predictions), 0)
  const title = `Predictions per ${widthText(buckets.widthHours)}`
  const span = `${timeOf(hours[0]?.hourMs ?? 0)} to ${timeOf((hours.at(-1)?.hourMs ?? 0) + HOUR_MS)} UTC`
  return (
    <div className="stack">
      <div className="row between">
        <h3>{title}</h3>
        <span className="soft">{span}</span>
      </div>
      <div className="chart" ref={place} role="img" aria-label={`${title}, ${span}, at most ${formatCount(most)}`} />
    </div>
  )
}
