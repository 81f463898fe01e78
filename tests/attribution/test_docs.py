"""The page on explaining any function shows what its code prints."""

import doctest
import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "attribution.md"


def test_examples_of_the_page_run_as_printed():
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL))
    test = doctest.DocTestParser().get_doctest(code, {}, PAGE.name, str(PAGE), 0)
    assert len(test.examples) > 30
    wrong: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(test, out=wrong.append)
    assert result.failed == 0, "".join(wrong)
