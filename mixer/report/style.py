"""The page's style sheet: one accent colour, numbers of one width, light and dark."""

CSS = """
:root{color-scheme:light dark;--paper:#fff;--ink:#16191d;--soft:#5c6570;--faint:#8a939d;--line:#e4e7eb;--tint:#f6f7f9;
--accent:#0d7a6c;--shade:#b9c0c8}
@media (prefers-color-scheme:dark){:root{--paper:#121417;--ink:#e9ebee;--soft:#a2abb5;--faint:#7d8792;--line:#2a2f36;
--tint:#1a1d22;--accent:#3ecfb8;--shade:#4a525c}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.6 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue",Arial,sans-serif;font-variant-numeric:tabular-nums}
main{max-width:1040px;margin:0 auto;padding:72px 32px 96px}
h1{font-size:clamp(26px,4vw,38px);line-height:1.22;font-weight:650;letter-spacing:-.018em;margin:10px 0 18px;
max-width:24em;text-wrap:balance}
h2{font-size:21px;line-height:1.3;font-weight:650;letter-spacing:-.01em;margin:0 0 6px}
h3{font-size:14px;font-weight:600;margin:0 0 10px;color:var(--ink)}
p{margin:0 0 12px;max-width:44em}
section{margin-top:76px}
a{color:var(--accent);text-decoration-thickness:1px;text-underline-offset:3px}
.over{font-size:13px;font-weight:600;letter-spacing:.05em;color:var(--accent);text-transform:uppercase}
.lead{font-size:18px;color:var(--soft);max-width:40em}
.note{color:var(--soft);font-size:14.5px}
.small{color:var(--soft);font-size:13px}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:28px 32px;margin:44px 0 0;
padding:26px 0;
border-top:1px solid var(--line);border-bottom:1px solid var(--line)}
.figures dt{font-size:13px;color:var(--soft);margin:0}
.figures dd{margin:2px 0 0;font-size:24px;font-weight:600;letter-spacing:-.01em;line-height:1.25}
.figures dd small{font-size:13px;font-weight:400;color:var(--soft);letter-spacing:0;display:block;margin-top:2px}
.aside{border-left:3px solid var(--accent);background:var(--tint);padding:14px 18px;margin:22px 0;font-size:15px;
max-width:46em;border-radius:0 6px 6px 0}
.aside p:last-child{margin:0}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:36px 48px;margin-top:26px}
figure{margin:0;min-width:0}
figcaption{font-size:14px;color:var(--soft);margin:0 0 10px}
figcaption b{color:var(--ink);font-weight:600;display:block}
svg{display:block;width:100%;max-width:520px;height:auto;overflow:visible;font-size:12.5px}
svg text{fill:var(--soft)}
svg .axis{fill:var(--faint)}
svg .tick{fill:var(--faint);font-size:12px}
svg .grid{stroke:var(--line);stroke-width:1}
svg .rule{stroke:var(--line)}
svg .equal{stroke:var(--shade);stroke-width:1.2}
svg .point{fill:var(--accent)}
svg .line{fill:none;stroke-width:2;stroke:var(--shade);stroke-linejoin:round}
svg .line.other{stroke-width:7;stroke-opacity:.55}
svg .line.found{stroke:var(--accent);stroke-width:2.4}
svg .line.thin{stroke-dasharray:2 4}
svg .level{stroke:var(--shade);stroke-dasharray:5 4}
svg text.level{stroke:none}
svg .dot{fill:var(--shade)}
svg .dot.found{fill:var(--accent)}
svg .dot.thin{fill:var(--paper);stroke:var(--soft);stroke-width:1.5}
svg .line.thin{stroke:var(--soft)}
svg .mean{stroke:var(--soft);stroke-width:2}
svg .mean.found{stroke:var(--accent)}
svg .row{text-anchor:end}
svg text.found{fill:var(--accent);font-weight:600}
.scroll{overflow-x:auto;margin:24px 0 0;padding-bottom:4px}
table{border-collapse:collapse;width:100%;font-size:14.5px}
th{font-weight:500;color:var(--soft);font-size:13px;text-align:left;padding:0 0 8px 20px;vertical-align:bottom;
border-bottom:1px solid var(--line);white-space:nowrap}
td{padding:9px 0 9px 20px;border-bottom:1px solid var(--line);vertical-align:middle}
th:first-child,td:first-child{padding-left:0}
.n{text-align:right;white-space:nowrap}
.w{white-space:nowrap}
.list{min-width:24em}
tr.strong td{font-weight:600}
tr.strong td:first-child{color:var(--accent)}
tr.sum td{border-bottom:0;font-weight:600}
td .terms{display:block;font-size:13px;color:var(--soft);font-weight:400;line-height:1.4}
.name{overflow-wrap:anywhere;min-width:9em}
.bar{width:32%;min-width:150px}
.track{position:relative;height:22px}
.track i{position:absolute;left:0;top:4px;height:14px;background:var(--accent);border-radius:0 3px 3px 0;
min-width:1px}
.track b{position:absolute;top:0;height:22px;width:0}
.track b::after{content:"";position:absolute}
.natural::after{left:-1px;top:1px;width:2px;height:20px;background:var(--soft)}
.uniform::after{left:-1px;top:1px;width:0;height:20px;border-left:2px dotted var(--faint)}
.nearest::after{left:-5px;top:6px;width:7px;height:7px;border:2px solid var(--ink);border-radius:50%;
background:var(--paper)}
.key{display:flex;flex-wrap:wrap;gap:6px 26px;font-size:14px;color:var(--soft);margin:18px 0 0;padding:0;
list-style:none}
.key li{display:flex;align-items:center;gap:9px}
.key i{display:inline-block;width:20px;height:12px;background:var(--accent);border-radius:0 3px 3px 0}
.key b{position:relative;display:inline-block;width:8px;height:22px}
.key b::after{content:"";position:absolute;margin-left:4px}
.heat td.n{padding:0}
.heat td div{padding:9px 12px;min-width:74px;
background:color-mix(in srgb,var(--accent) calc(var(--w)*.72%),transparent)}
.heat th.n{padding-right:12px}
details{border-bottom:1px solid var(--line)}
summary{cursor:pointer;padding:14px 0;display:grid;grid-template-columns:18px minmax(0,1fr) auto;gap:4px 10px;
align-items:baseline;list-style:none}
summary::-webkit-details-marker{display:none}
summary::before{content:"+";color:var(--accent);font-weight:600}
details[open] summary::before{content:"\\2212"}
summary:focus-visible,a:focus-visible{outline:2px solid var(--accent);outline-offset:3px}
summary strong{font-weight:600;overflow-wrap:anywhere}
summary span{color:var(--soft);font-size:14px;text-align:right}
.inside{padding:0 0 20px 28px}
.inside p{font-size:14.5px;overflow-wrap:anywhere}
.inside blockquote{margin:0 0 16px;padding:0 0 0 16px;border-left:2px solid var(--line);font-size:14.5px}
.inside blockquote p{margin:0 0 2px}
pre{background:var(--tint);padding:16px 18px;overflow-x:auto;font-size:13px;line-height:1.55;border-radius:6px;
margin:16px 0}
code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.92em}
footer{margin-top:84px;padding-top:20px;border-top:1px solid var(--line);color:var(--soft);font-size:13px}
@media (max-width:640px){main{padding:36px 20px 64px}section{margin-top:56px}.wide{display:none}
.figures{grid-template-columns:repeat(2,minmax(0,1fr));gap:22px 20px;margin-top:30px}.figures dd{font-size:20px}
td,th{padding-left:12px}td .terms{display:none}.bar{min-width:96px}.name{min-width:7.5em}
summary{grid-template-columns:18px minmax(0,1fr)}
summary span{grid-column:2;text-align:left}.inside{padding-left:0}}
@media print{main{max-width:none;padding:0}details{break-inside:avoid}section{break-inside:avoid-page}}
"""
