// A reporter of Vitest for scripts/test.mjs: writes the name of every test that was left out, with its reason, to the file
// that VITEST_LEFT_OUT names. A reason is in the name (`…: left out, REASON`), in the note of context.skip(REASON), or a
// condition of the test that does not hold here.
import { writeFileSync } from 'node:fs'

// biome-ignore lint/style/noDefaultExport: Vitest takes a reporter by its default export
export default class LeftOutReporter {
  onTestRunEnd(modules) {
    const lines = []
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const result = test.result()
        if (result.state !== 'skipped') continue
        const isNamed = /left out/.test(test.fullName)
        const reason = result.note ?? `its condition does not hold on ${process.platform} ${process.arch}`
        lines.push(isNamed ? test.fullName : `${test.fullName}: left out, ${reason}`)
      }
    }
    if (process.env.VITEST_LEFT_OUT) writeFileSync(process.env.VITEST_LEFT_OUT, JSON.stringify([...new Set(lines)]))
  }
}
