/** Walks along every edge as it is drawn, and names the steps whose boxes it meets between its ends. */
export const EDGES_THROUGH_NODES = `(() => {
  const boxes = [...document.querySelectorAll('.node')].map((node) => [node.querySelector('strong').textContent, node.getBoundingClientRect()])
  const through = new Set()
  let edges = 0
  for (const all of document.querySelectorAll('.edges path'))
    for (const one of (all.getAttribute('d') ?? '').split(/(?=M)/).filter((part) => part !== '')) {
      edges++
      const path = all.parentElement.appendChild(all.cloneNode())
      path.setAttribute('d', one)
      for (let at = 0; at <= path.getTotalLength(); at += 2) {
        const { x, y } = path.getPointAtLength(at).matrixTransform(path.getScreenCTM())
        for (const [name, box] of boxes)
          if (x > box.left + 2 && x < box.right - 2 && y > box.top && y < box.bottom) through.add(name)
      }
      path.remove()
    }
  return { edges, through: [...through] }
})()`

/** Tables that are wider than their place, of which columns are cut. */
export const CUT_TABLES = `[...document.querySelectorAll('.scroll:not(.sheet)')]
  .filter((place) => place.scrollWidth > place.clientWidth)
  .map((place) => place.textContent.slice(0, 80))`

/** Texts whose contrast with what is behind them is below 4.5, by the formula of WCAG 2.2. */
export const FAINT_TEXTS = `(() => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number)
  const linear = (part) => (part / 255 <= 0.03928 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4)
  const luminance = ([red, green, blue]) => 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
  const behind = (element) => {
    const colour = parse(getComputedStyle(element).backgroundColor)
    return (colour[3] ?? 1) === 1 || element.parentElement === null ? colour : behind(element.parentElement)
  }
  const faint = []
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement
    if (walk.currentNode.textContent.trim() === '' || !element.checkVisibility()) continue
    const both = [luminance(parse(getComputedStyle(element).color)), luminance(behind(element))]
    const contrast = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05)
    if (contrast < 4.5) faint.push(contrast.toFixed(2) + ' ' + walk.currentNode.textContent)
  }
  return faint
})()`

/** Name of what has the focus, and whether its ring can be seen where it is. */
export const FOCUS = `(() => {
  const element = document.activeElement
  const { outlineStyle, outlineWidth } = getComputedStyle(element)
  const box = element.getBoundingClientRect()
  const isRinged = outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2
  const isThere = box.right > 0 && box.left < innerWidth && box.bottom > 0 && box.top < innerHeight
  return { name: element.getAttribute('aria-label') ?? element.textContent.trim(), isSeen: isRinged && isThere }
})()`

/** Remembers the steps of the graph whose drawing changes from now on. */
export const WATCH_NODES = `(() => {
  window.touched = new Set()
  new MutationObserver((changes) => {
    for (const { target } of changes) {
      const node = (target.nodeType === 1 ? target : target.parentElement).closest('.node')
      if (node) window.touched.add(node.querySelector('strong').textContent)
    }
  }).observe(document.querySelector('.sheet'), { subtree: true, childList: true, attributes: true, characterData: true })
})()`
