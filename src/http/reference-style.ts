// The look of the reference page: its only resource, allowed by hash in the page's policy.

/** Colours reach a contrast of at least 4.5:1 on their backgrounds in both schemes (WCAG 2.2, 1.4.3). */
export const STYLE = `
:root {
  color-scheme: light dark;
  --back: light-dark(#fff, #14171c); --text: light-dark(#1d2229, #e3e7ee); --quiet: light-dark(#545c69, #a3adbb);
  --line: light-dark(#d5dae1, #363d48); --soft: light-dark(#f4f6f9, #1d2229); --link: light-dark(#0b5bb5, #7ab7ff);
  --get: light-dark(#0f6a3c, #6fd49d); --head: light-dark(#5a4a9c, #b9a9ff); --post: light-dark(#8a4b00, #f0b45f);
}
* { box-sizing: border-box }
html { scroll-padding-top: 1rem }
body { margin: 0; background: var(--back); color: var(--text); font: 1rem/1.55 system-ui, sans-serif }
a { color: var(--link) }
a:focus-visible, summary:focus-visible, pre:focus-visible, .scroll:focus-visible { outline: 3px solid var(--link); outline-offset: 2px }
.skip { position: absolute; left: -999rem }
.skip:focus { left: 1rem; top: 1rem; z-index: 1; padding: .5rem 1rem; background: var(--back) }
.page { max-width: 84rem; margin: 0 auto; padding: 0 1.25rem 4rem }
header { padding: 2rem 0 1rem; border-bottom: 1px solid var(--line) }
h1 { margin: 0; font-size: 1.9rem; line-height: 1.2 }
h2 { margin: 3rem 0 .25rem; font-size: 1.5rem }
h3 { margin: 0 0 .5rem; font-size: 1.15rem }
h4 { margin: 1.5rem 0 .5rem; font-size: 1rem }
p { max-width: 48rem; margin: .5rem 0 }
.quiet { color: var(--quiet) }
code, pre { font: .875em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace }
code { overflow-wrap: anywhere }
p code, td code, li code { padding: .1em .3em; border-radius: 3px; background: var(--soft) }
td:first-child code, th code { padding: 0; background: none }
pre { margin: .5rem 0; padding: .75rem 1rem; overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; background: var(--soft) }
article { margin: 1.25rem 0; padding: 1.25rem; border: 1px solid var(--line); border-radius: 8px }
.route { display: flex; flex-wrap: wrap; gap: .4rem .6rem; align-items: baseline; margin: 0 0 .25rem }
.method { display: inline-block; min-width: 3.4rem; padding: 0 .5rem; border: 1px solid; border-radius: 4px; text-align: center; font: 600 .8rem/1.6 ui-monospace, Menlo, Consolas, monospace }
.get { color: var(--get) } .head { color: var(--head) } .post { color: var(--post) }
.scroll { overflow-x: auto }
table { width: 100%; border-collapse: collapse; font-size: .93rem }
caption { text-align: left; color: var(--quiet); padding-bottom: .25rem }
th, td { padding: .4rem .9rem .4rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top }
thead th { color: var(--quiet); font-weight: 600 }
tbody th { font-weight: 600; white-space: nowrap }
th code { overflow-wrap: normal }
th .quiet { font-weight: 400 }
.values { min-width: 11rem }
summary { cursor: pointer; padding: .25rem 0; color: var(--link) }
nav ul { list-style: none; margin: 0; padding: 0 }
nav h2 { margin: 1.25rem 0 .25rem; font-size: 1rem }
nav li { display: flex; gap: .5rem; align-items: baseline; padding: .15rem 0 }
@media (min-width: 64rem) {
  .columns { display: grid; grid-template-columns: 17rem minmax(0, 1fr); gap: 2.5rem }
  nav { position: sticky; top: 0; max-height: 100vh; overflow-y: auto; padding: .5rem 0 2rem; font-size: .93rem }
}
@media print { nav, .skip { display: none } article { break-inside: avoid-page } }
`
