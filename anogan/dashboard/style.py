"""How the dashboard looks, as far as Streamlit's theme in .streamlit/config.toml cannot say it."""

ICON = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
<circle cx="16" cy="16" r="15" fill="#0b6580"/><circle cx="20" cy="12" r="5" fill="#ffc857"/></svg>"""
"""The page's icon, drawn here: a named one would be fetched from the internet."""

SHEET = """<style>
.stMainBlockContainer { padding-top: 4.2rem; padding-bottom: 3rem; max-width: 1500px; }
.st-key-frame {
  border-bottom: 1px solid #d5dfe5;
  padding-bottom: .45rem;
  margin-bottom: .2rem;
  color: #43525c;
  font-size: .9rem;
}
.st-key-account { margin: -.8rem 0 -.9rem; color: #43525c; }
[data-testid="stCaptionContainer"] { color: #43525c !important; opacity: 1 !important; }
.stMainBlockContainer h1 { padding: .3rem 0 .7rem; }
.st-key-list-header { padding: 0 .8rem; margin-bottom: -.4rem; }
[class*="st-key-row-"] { position: relative; padding: .3rem .8rem; transition: background .12s; }
[class*="st-key-row-"] [data-testid="stMarkdownContainer"] { margin-bottom: 0; }
[class*="st-key-row-"] p { margin: 0; line-height: 1.35; }
[class*="st-key-row-"]:hover, [class*="st-key-row-"]:focus-within {
  background: #f2f6f8;
  border-color: #0b6580;
}
[class*="st-key-row-"] .stButton button::after {
  content: "";
  position: absolute;
  inset: 0;
  z-index: 1;
  cursor: pointer;
}
[class*="st-key-row-"] .stElementContainer:has(.stButton), [class*="st-key-row-"] .stButton * { position: static; }
[class*="st-key-row-"] .stElementToolbar { display: none; }
[class*="st-key-row-"] img {
  width: 52px !important;
  height: 52px;
  object-fit: contain;
  border-radius: 4px;
  background: #0d1418;
}
[class*="st-key-pixels-"] img { image-rendering: pixelated; }
[class*="st-key-pictures"] img { background: #0d1418; border-radius: 4px; }
.quiet { color: #43525c; font-size: .88rem; }
.scale {
  display: flex;
  gap: .6rem;
  justify-content: space-between;
  color: #43525c;
  font-size: .82rem;
  margin-top: -.6rem;
}
.figures {
  display: grid;
  grid-template-columns: repeat(auto-fill, minmax(9.4rem, 1fr));
  gap: .6rem;
  margin-bottom: .6rem;
}
.figure {
  display: flex;
  flex-direction: column;
  border: 1px solid #d5dfe5;
  border-radius: .4rem;
  padding: .6rem .8rem;
  color: #43525c;
  font-size: .85rem;
}
.figure b {
  margin-top: auto;
  color: #17252f;
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
.confusion th { font-weight: 500; color: #43525c; padding: .4rem .6rem; text-align: left; font-size: .9rem; }
.confusion caption { text-align: left; padding-left: .6rem; }
.confusion td { border: 2px solid #fff; padding: .6rem .8rem; }
.confusion tr > :first-child { width: 22%; }
.confusion td b { display: block; font-size: 1.5rem; font-weight: 600; line-height: 1.2; }
.confusion .right { background: #e6f1f5; color: #0b4f66; }
.confusion .wrong { background: #fdeee2; color: #8f3a05; }
</style>"""
