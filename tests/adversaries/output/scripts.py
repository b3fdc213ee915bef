"""Shows HTML, SVG and JavaScript that would run in the page of whoever reads it. (the instructor is logged in)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
from IPython.display import HTML, SVG, Javascript, Markdown, display

act = "adversary" + "(1)"
display(HTML(f"<script>{act}</script><img src=x onerror='{act}'><iframe srcdoc='&lt;script&gt;{act}'></iframe>"))
display(HTML(f"<a href='javascript:{act}'>click</a><body onload={act}><meta http-equiv=refresh content='0;url=//x'>"))
display(SVG(f"<svg xmlns='http://www.w3.org/2000/svg' onload='{act}'><script>{act}</script></svg>"))
display(Javascript(act))
display(Markdown(f"<script>{act}</script> [click](javascript:{act}) ![x](x){{onerror={act}}}"))
display({"text/html": [f"<script>{act}", "</script>"], "text/latex": f"\\\\href{{javascript:{act}}}{{x}}"}, raw=True)
display({"text/vnd.mermaid": f"graph LR; A[<img src=x onerror={act}>]", "text/plain": f"<script>{act}"}, raw=True)
"""
}
POINTS = FULL
FLAG = ANY
SECRETS = [
    "<script>adversary(1)",
    "onerror='adversary(1)",
    'onerror="adversary(1)',
    "onload='adversary(1)",
    'onload="adversary(1)',
    "href='javascript:adversary(1)",
    'href="javascript:adversary(1)',
]
