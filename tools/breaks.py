"""Where the code on a page may break: at sensible places, so that no name is cut in two.

`tools/finish.py` uses this on each page. On a phone a line holds about 35 characters. A line of
code goes on below, further to the right than it began. A word of code that is long may break after
a bracket and before a dot, and in tables, whose columns are narrow, also inside names. An option
such as --bf16 never breaks at its hyphens, and a comma stays with the formula before it.
"""
import re

LONG_WORD, LONG_CELL, LONG_FORMULA = 25, 40, 50  # characters
_listing = re.compile(r'(<code class="sourceCode[^>]*>)(.*?)(</code>)', re.S)
_line = re.compile(r'<span id="cb[\w-]+">(?:<a [^>]*></a>)?( *)')
_token = re.compile(r"<[^>]+>|&#?\w+;|.", re.S)
_inside_word = re.compile(r"(?<=\w)\((?=[^)])|(?<=[\w)\]])(?=\.[A-Za-z_]\w*(?![\w\"'&]))")
_inside_name = re.compile(r"(?<=\w)[._/]+(?=\w)|[(\[=](?=[^\s)\]=])")
_inline = re.compile(r"(<pre\b.*?</pre>)|(<code>)(.*?)(</code>)", re.S)
_option = re.compile(r"(?<![\w-])--?\w[\w-]*")
_table_cell = re.compile(r"<td\b([^>]*)>(.*?)</td>", re.S)
_tex = re.compile(r"<annotation[^>]*>(.*?)</annotation>", re.S)
_formula_end = re.compile(r'(<math display="inline"(?:(?!</math>).)*</math>[.,;:!?)]+)', re.S)


def put_breaks(markup: str, places: set[int]) -> str:
    "Markup with a possible break before those characters of its text"
    made, place = [], 0
    for token in _token.findall(markup):
        if token[0] != "<" or len(token) == 1:
            if place in places: made.append("<wbr>")
            place += 1
        made.append(token)
    return "".join(made)


def plain(markup: str) -> str:
    "The text of markup, with one character for each entity"
    tokens = _token.findall(markup)
    return "".join(token if len(token) == 1 else "&" for token in tokens
                   if token[0] != "<" or len(token) == 1)


def break_line(line: str) -> str:
    "A line of code that says how far it is indented, and whose long words may break"
    text = plain(line)
    words = [word for word in re.finditer(r"\S+", text) if len(word[0]) >= LONG_WORD]
    places = {word.start() + cut.end() for word in words for cut in _inside_word.finditer(word[0])}
    if places: line = put_breaks(line, places)
    start = _line.match(line)
    if start is None or not start[1]: return line
    return line.replace('">', f'" style="--in:{len(start[1])}">', 1)


def break_listing(match: re.Match) -> str:
    "Code whose lines may break"
    return match[1] + "\n".join(map(break_line, match[2].split("\n"))) + match[3]


def keep_option(match: re.Match) -> str:
    "Code in a sentence, whose options don't break; blocks of code stay as they are"
    if match[1]: return match[1]
    kept = _option.sub(r'<span class="whole">\g<0></span>', match[3])
    return match[2] + kept + match[4]


def keep_mark(match: re.Match) -> str:
    "A formula with the mark after it, which stay together unless they fill a line of a phone"
    tex = _tex.search(match[0])
    if tex and len(tex[1]) > LONG_FORMULA: return match[0]
    return f'<span class="whole">{match[0]}</span>'


def break_code(page: str) -> str:
    "Part of a page whose code and formulas break at sensible places"
    page = _inline.sub(keep_option, _listing.sub(break_listing, page))
    return _formula_end.sub(keep_mark, page)


def break_name(match: re.Match) -> str:
    "Code in a table, which may break after a dot, a bracket or an underscore"
    if match[1]: return match[1]
    markup = match[3].replace(r"\|", "|")  # Pandoc keeps the backslash that a table needs
    places = {cut.end() for cut in _inside_name.finditer(plain(markup))}
    return match[2] + put_breaks(markup, places) + match[4]


def mark_long(match: re.Match) -> str:
    "A cell that says whether it holds a long text, which wants a wide column"
    if match[1].strip() or len(plain(match[2])) <= LONG_CELL: return match[0]
    return f'<td class="long">{match[2]}</td>'


def break_table(table: str) -> str:
    "A table whose names may break, with room for long texts"
    return _table_cell.sub(mark_long, _inline.sub(break_name, table))
