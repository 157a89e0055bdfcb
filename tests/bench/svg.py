"""Line and bar charts as SVG: what the report needs, and nothing to install.

Matplotlib of Debian 12 cannot be installed beside libboost1.81-dev.
"""

import math
from dataclasses import dataclass, field
from html import escape

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 80, 20, 40, 84
#: As many measured values of a logarithmic x axis are named at it.
X_TICKS = 8
#: Entries of the key in a row.
KEY_COLUMNS = 4
#: Height of such a row; as many fit without making the picture higher.
KEY_HEIGHT = 16
KEY_ROWS = 2
#: Told apart without their hue, too; on light and dark ground.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES = ("", "6 3", "2 3", "8 3 2 3", "", "6 3")


@dataclass(frozen=True)
class Scale:
    """Places values on `length` pixels from `start` on; a negative length goes upwards."""

    low: float
    high: float
    start: float
    length: float
    log: bool

    def place(self, value: float) -> float:
        """The pixel of `value`."""
        low, high, at = self.low, self.high, value
        if self.log:
            low, high, at = math.log10(low), math.log10(high), math.log10(max(value, self.low))
        return self.start + self.length * (at - low) / (high - low or 1)

    def ticks(self) -> list[float]:
        """Round values between the ends."""
        if self.log:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            steps = [1, 2, 5] if last - first <= 3 else [1]
            values = [step * 10.0**power for power in range(first, last + 1) for step in steps]
        else:
            rough = (self.high - self.low) / 6 or 1
            power = 10.0 ** math.floor(math.log10(rough))
            step = next(n * power for n in (1, 2, 5, 10) if n * power >= rough)
            values = [step * n for n in range(math.ceil(self.low / step), int(self.high / step) + 1)]
        return [value for value in values if self.low <= value <= self.high]


def _figure(value: float) -> str:
    """A number at an axis: 1,000,000 and not 1e+06."""
    return f"{value:,.0f}" if value == round(value) else f"{value:g}"


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#888" stroke-opacity="0.4"/>'


def _document(title: str, body: list[str], more_height: int = 0) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT + more_height}" '
        'font-family="sans-serif" font-size="12">'
    )
    ground = f'<rect width="{WIDTH}" height="{HEIGHT + more_height}" fill="#fff"/>'
    heading = _text(WIDTH / 2, 22, title, 'text-anchor="middle" font-size="14"')
    return "\n".join([head, ground, heading, *body, "</svg>"]) + "\n"


def _y_axis(scale: Scale, label: str) -> list[str]:
    out = []
    for value in scale.ticks():
        y = scale.place(value)
        out += [_line(LEFT, y, WIDTH - RIGHT, y), _text(LEFT - 6, y + 4, _figure(value), 'text-anchor="end"')]
    middle = (TOP + HEIGHT - BOTTOM) / 2
    out.append(_text(16, middle, label, f'text-anchor="middle" transform="rotate(-90 16 {middle})"'))
    return out


@dataclass
class Lines:
    """A chart of lines over a common x axis."""

    title: str
    x_label: str
    y_label: str
    log_x: bool = False
    log_y: bool = False
    lines: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def draw(self) -> str:
        """The SVG document; needs at least one point, and values above 0 for a logarithmic axis."""
        points = [point for line in self.lines.values() for point in line]
        xs = [x for x, _ in points]
        low = min(xs) if self.log_x else 0.0
        x_scale = Scale(low, max(max(xs), low * 2, 1e-9), LEFT, WIDTH - LEFT - RIGHT, self.log_x)
        top = max(y for _, y in points) * 1.05 or 1.0
        bottom = min(y for _, y in points) / 1.05 if self.log_y else 0.0
        y_scale = Scale(bottom, top, HEIGHT - BOTTOM, TOP + BOTTOM - HEIGHT, self.log_y)
        body = _y_axis(y_scale, self.y_label)
        measured = sorted(set(xs))
        # Few values that were chosen are what the reader looks for.
        for value in measured if self.log_x and len(measured) <= X_TICKS else x_scale.ticks():
            x = x_scale.place(value)
            body += [
                _line(x, TOP, x, HEIGHT - BOTTOM),
                _text(x, HEIGHT - BOTTOM + 16, _figure(value), 'text-anchor="middle"'),
            ]
        body.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM + 36, self.x_label, 'text-anchor="middle"'))
        for number, (label, line) in enumerate(self.lines.items()):
            body += self._one(number, label, line, x_scale, y_scale)
        rows = math.ceil(len(self.lines) / KEY_COLUMNS)
        return _document(self.title, body, KEY_HEIGHT * max(0, rows - KEY_ROWS))

    @staticmethod
    def _one(
        number: int, label: str, line: list[tuple[float, float]], x_scale: Scale, y_scale: Scale
    ) -> list[str]:
        colour = COLOURS[number % len(COLOURS)]
        dash = DASHES[(number + number // len(COLOURS)) % len(DASHES)]
        style = f'stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"'
        places = [(x_scale.place(x), y_scale.place(y)) for x, y in sorted(line)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        out = [f'<polyline points="{path}" fill="none" {style}/>']
        if len(places) <= 20:
            out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        # The key: rows beneath the axis.
        row, column = divmod(number, KEY_COLUMNS)
        x = LEFT + column * (WIDTH - LEFT - RIGHT) / KEY_COLUMNS
        y = HEIGHT - 26 + KEY_HEIGHT * row
        out.append(f'<line x1="{x:.1f}" y1="{y - 4}" x2="{x + 24:.1f}" y2="{y - 4}" {style}/>')
        out.append(_text(x + 28, y, label))
        return out


def bars(title: str, y_label: str, values: list[tuple[str, float]]) -> str:
    """A chart of bars with a logarithmic axis; needs at least one value above 0."""
    known = [value for _, value in values if value > 0]
    low = 10.0 ** math.floor(math.log10(min(known)))
    high = max(known) * 1.3
    scale = Scale(low, high, HEIGHT - BOTTOM, TOP + BOTTOM - HEIGHT, True)
    body = _y_axis(scale, y_label)
    step = (WIDTH - LEFT - RIGHT) / len(values)
    for number, (label, value) in enumerate(values):
        x = LEFT + step * (number + 0.15)
        middle = x + step * 0.35
        if value > 0:
            y = scale.place(value)
            body.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{step * 0.7:.1f}" height="{HEIGHT - BOTTOM - y:.1f}" '
                f'fill="{COLOURS[0]}"/>'
            )
            body.append(_text(middle, y - 4, f"{value:.3g}", 'text-anchor="middle"'))
        for row, part in enumerate(label.split("\n")):
            body.append(_text(middle, HEIGHT - BOTTOM + 16 + 14 * row, part, 'text-anchor="middle"'))
    return _document(title, body)
