import { useComputedColorScheme } from '@mantine/core'
import { BarChart } from 'echarts/charts'
import { GridComponent, TooltipComponent } from 'echarts/components'
import { init, use } from 'echarts/core'
import { CanvasRenderer } from 'echarts/renderers'
import { useEffect, useMemo, useRef } from 'react'
import { formatCount } from '../../format/amount.ts'
import { formatAbsolute } from '../../format/time.ts'

use([BarChart, GridComponent, TooltipComponent, CanvasRenderer])

const HOUR_MS = 3_600_000
const HOURS_MAX = 48

interface Hour {
  readonly hourMs: number
  readonly predictions: number
}

function optionOf(hours: readonly Hour[], colour: string, ink: string) {
  const label = { color: ink, fontSize: 11, hideOverlap: true }
  return {
    animation: false,
    grid: { left: 4, right: 4, top: 6, bottom: 18 },
    // The rich text form draws on the canvas: the other one needs inline styles, which the policy refuses.
    tooltip: {
      trigger: 'axis',
      renderMode: 'richText',
      valueFormatter: (value: unknown) => `${formatCount(Number(value))} predictions`,
    },
    xAxis: {
      type: 'category',
      data: hours.map((hour) => formatAbsolute(hour.hourMs).slice(5, 16)),
      axisLabel: label,
      axisTick: { show: false },
      axisLine: { lineStyle: { color: ink, opacity: 0.4 } },
    },
    yAxis: { type: 'value', show: false },
    series: [
      {
        type: 'bar',
        name: '',
        data: hours.map((hour) => hour.predictions),
        itemStyle: { color: colour },
        barCategoryGap: '20%',
      },
    ],
  }
}

/** Every hour of the last two days that ended with one: hours without a prediction have their place. */
function lastHours(hours: readonly Hour[]): Hour[] {
  const counts = new Map(hours.map((hour) => [hour.hourMs, hour.predictions]))
  const [firstMs, lastMs] = [hours[0]?.hourMs ?? 0, hours.at(-1)?.hourMs ?? 0]
  const fromMs = Math.max(firstMs, lastMs - (HOURS_MAX - 1) * HOUR_MS)
  return Array.from({ length: (lastMs - fromMs) / HOUR_MS + 1 }, (_, index) => {
    const hourMs = fromMs + index * HOUR_MS
    return { hourMs, predictions: counts.get(hourMs) ?? 0 }
  })
}

/** Predictions by hour. */
export function HourChart({ hours: counted }: { hours: readonly Hour[] }) {
  const hours = useMemo(() => lastHours(counted), [counted])
  const place = useRef<HTMLDivElement>(null)
  const scheme = useComputedColorScheme('light')
  useEffect(() => {
    const element = place.current
    if (element === null || scheme === undefined) return
    const chart = init(element)
    const style = getComputedStyle(document.documentElement)
    chart.setOption(optionOf(hours, style.getPropertyValue('--series-1'), style.getPropertyValue('--ink-soft')))
    const observer = new ResizeObserver(() => chart.resize())
    observer.observe(element)
    return () => {
      observer.disconnect()
      chart.dispose()
    }
  }, [hours, scheme])
  const most = hours.reduce((max, hour) => Math.max(max, hour.predictions), 0)
  return (
    <div
      className="chart"
      ref={place}
      role="img"
      aria-label={`Predictions by hour, ${hours.length} hours, at most ${formatCount(most)} in one`}
    />
  )
}
