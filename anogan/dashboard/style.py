"""How the dashboard looks, as far as Streamlit's theme in .streamlit/config.toml cannot say it."""

ICON = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
<circle cx="16" cy="16" r="15" fill="#0b6580"/><circle cx="20" cy="12" r="5" fill="#ffc857"/></svg>"""
"""The page's icon, drawn here: a named one would be fetched from the internet."""

SHEET = """<style>
.stApp { /* light-dark goes by the color scheme that Streamlit gives the app with its theme */
  --ink: light-dark(#17252f, #d9e2e8);
  --quiet: light-dark(#43525c, #b4c1c9);
  --line: light-dark(#d5dfe5, #34434d);
  --ground: light-dark(#fff, #10171c);
  --raised: light-dark(#f2f6f8, #1a242b);
  --accent: light-dark(#0b6580, #4aa8c6);
  --right: light-dark(#0b4f66, #9ad3e6);
  --right-ground: light-dark(#e6f1f5, #12303b);
  --wrong: light-dark(#8f3a05, #f3b07d);
  --wrong-ground: light-dark(#fdeee2, #3a2212);
}
.js-plotly-plot :is(.xtick, .ytick, .xtitle, .ytitle, .legendtext, .annotation-text, .textpoint) {
  fill: var(--quiet) !important;
}
.js-plotly-plot :is(.xtick, .ytick, .textpoint) text { fill: var(--quiet) !important; }
.stMainBlockContainer { padding-top: 4.2rem; padding-bottom: 3rem; max-width: 1500px; }
.st-key-frame {
  border-bottom: 1px solid var(--line);
  padding-bottom: .45rem;
  margin-bottom: .2rem;
  color: var(--quiet);
  font-size: .9rem;
}
.st-key-account { margin: -.8rem 0 -.9rem; color: var(--quiet); }
[data-testid="stCaptionContainer"] { color: var(--quiet) !important; opacity: 1 !important; }
.stMainBlockContainer h1 { padding: .3rem 0 .7rem; }
.st-key-list-header { padding: 0 .8rem; margin-bottom: -.4rem; }
[class*="st-key-row-"] { position: relative; padding: .3rem .8rem; transition: background .12s; }
[class*="st-key-row-"] [data-testid="stMarkdownContainer"] { margin-bottom: 0; }
[class*="st-key-row-"] p { margin: 0; line-height: 1.35; }
[class*="st-key-row-"]:hover, [class*="st-key-row-"]:focus-within {
  background: var(--raised);
  border-color: var(--accent);
}
[class*="st-key-row-"] .stButton button::after {
  content: "";
  position: absolute;
  inset: 0;
  z-index: 1;
  cursor: pointer;
}
[class*="st-key-row-"] .stElementContainer:has(.stButton), [class*="st-key-row-"] .stButton * { position: static; }
.st-key-queue ul {
  display: grid;
  grid-template-columns: .6fr 3fr 1.7fr 1.6fr .9fr 1.6fr;
  gap: 0 1rem;
  align-items: center;
  margin: 0;
  padding: 0;
  list-style: none;
}
.st-key-queue ul > li { margin: 0; padding: 0; line-height: 1.35; overflow-wrap: anywhere; }
.st-key-queue [class*="st-key-row-"] { flex-wrap: nowrap; }
.st-key-queue [class*="st-key-row-"] > :first-child { flex: 1 1 0; min-width: 0; }
.st-key-queue [data-testid="stCaptionContainer"] { margin-bottom: .3rem; }
.st-key-queue .st-key-list-header { padding-right: calc(.8rem + 75px); /* the button with its gap */ }
@media (max-width: 640px) { .st-key-queue ul { grid-template-columns: 1fr 1fr; } }
[class*="st-key-row-"] .stElementToolbar { display: none; }
[class*="st-key-row-"] img {
  width: 52px !important;
  height: 52px;
  object-fit: contain;
  border-radius: 4px;
  background: #0d1418;
}
[class*="st-key-pixels-"] img { image-rendering: pixelated; }
.quiet { color: var(--quiet); font-size: .88rem; }
.figures {
  display: grid;
  grid-template-columns: repeat(auto-fill, minmax(9.4rem, 1fr));
  gap: .6rem;
  margin-bottom: .6rem;
}
.figure {
  display: flex;
  flex-direction: column;
  border: 1px solid var(--line);
  border-radius: .4rem;
  padding: .6rem .8rem;
  color: var(--quiet);
  font-size: .85rem;
}
.figure b {
  margin-top: auto;
  color: var(--ink);
  font-size: 1.6rem;
  font-weight: 600;
  font-variant-numeric: tabular-nums;
}
.confusion {
  border-collapse: collapse;
  width: 100%;
  table-layout: fixed;
  font-variant-numeric: tabular-nums;
}
.confusion th { font-weight: 500; color: var(--quiet); padding: .4rem .6rem; text-align: left; font-size: .9rem; }
.confusion caption { text-align: left; padding-left: .6rem; }
.confusion td { border: 2px solid var(--ground); padding: .6rem .8rem; }
.confusion tr > :first-child { width: 22%; }
.confusion td b { display: block; font-size: 1.5rem; font-weight: 600; line-height: 1.2; }
.confusion .right { background: var(--right-ground); color: var(--right); }
.confusion .wrong { background: var(--wrong-ground); color: var(--wrong); }
</style>"""
