// A reporter of Vitest for scripts/test.mjs: writes the name of every test that was left out, with its reason, to the file
// that VITEST_LEFT_OUT names. A reason is in the name (`…: left out, REASON`), in the note of context.skip(REASON), or a
// condition of the test that does not hold here.
import { writeFileSync } from 'node:fs'

function hasFailedSuite(module) {
  return [...module.children.allSuites()].some((suite) => suite.errors().length > 0)
}

// biome-ignore lint/style/noDefaultExport: Vitest takes a reporter by its default export
export default class LeftOutReporter {
  onTestRunEnd(modules) {
    const lines = []
    for (const module of modules) {
      // What a failure in front of them kept from running is no test that was left out.
      if (module.errors().length > 0 || hasFailedSuite(module)) continue
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
