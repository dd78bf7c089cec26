"""Numbers for the tables that cells print, as Sphinx gives them to figures: ``{numref}`text-differences``` links to the
table ``differences`` of the page ``text``."""

import re
from collections import Counter
from pathlib import PurePosixPath
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.writers.html5 import HTML5Translator

# What `study.show.show` prints: a table, its caption and links to its files.
PRINTED = re.compile(r'(?s)(.*<table.*)<p class="caption">(.*?)</p>(.*download="(.+?)\.csv".*)')


class table_figure(nodes.figure):
    """A figure that is counted as a table."""


class NumberTables(SphinxTransform):
    default_priority = 200  # before figures get the ids by which they are counted

    def apply(self, **_: Any) -> None:
        page, shown = PurePosixPath(self.env.docname).name, Counter[str]()
        for raw in [*self.document.findall(nodes.raw)]:
            if not (found := PRINTED.match(raw.astext())):
                continue
            table, caption, links, name = found.groups()
            shown[name] += 1
            label = f"{page}-{name}" if shown[name] == 1 else f"{page}-{name}-{shown[name]}"
            words = re.split("<code>(.*?)</code>", caption)
            texts = [nodes.literal("", word) if i % 2 else nodes.Text(word) for i, word in enumerate(words)]
            figure = table_figure(names=[nodes.fully_normalize_name(label)])
            output = raw.parent.parent  # in all formats that the cell gives
            output.replace_self(figure)
            raw.replace_self(nodes.raw("", table, format="html"))
            legend = nodes.legend("", nodes.raw("", links, format="html"))
            figure += [output, nodes.caption("", "", *texts), legend]
            self.document.note_explicit_target(figure)


def setup(app: Sphinx) -> dict[str, bool]:
    html = (HTML5Translator.visit_figure, HTML5Translator.depart_figure)
    app.add_enumerable_node(table_figure, "table", html=html)
    app.add_transform(NumberTables)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
