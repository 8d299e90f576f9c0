"""The legal order of commands: a picture of the engine's table, and a page that says the same."""

from collections import defaultdict
from collections.abc import Mapping

from qpsdk.smtp.steps import FINAL_DOT, OUT_OF_ORDER, STEPS, State

from .drawing import LINE, Drawing


def arrivals(steps: Mapping[str, Mapping[State, tuple[State, State]]] = STEPS) -> list[str]:
    """For each command, in words: where it may come, and where it leads if it is accepted."""
    said = []
    for command, row in steps.items():
        ways = [
            f"{state.name} stays" if after is state else f"{state.name} to {after.name}"
            for state, (after, _) in row.items()
        ]
        said.append(f"{_command(command)}: {', '.join(ways)}.")
    return said


def _command(command: str) -> str:
    return "final dot" if command == FINAL_DOT else command


def states(steps: Mapping[str, Mapping[State, tuple[State, State]]] = STEPS) -> str:
    """A column for each state, a row for each command: where it may come, and where it leads."""
    drawing = Drawing("states", "The legal order of commands", " ".join(arrivals(steps)))
    first, apart, top = 130.0, 92.0, LINE
    columns = {state: first + apart * i for i, state in enumerate(State)}
    bottom = top + LINE * (len(steps) + 0.5)
    for state, x in columns.items():
        drawing.text(x, top / 2, state.name, "strong", "middle")
        drawing.line((x, top), (x, bottom), kind="faint", arrow=False)
    for number, (command, row) in enumerate(steps.items(), 1):
        y = top + LINE * number
        drawing.text(0, y, _command(command))
        ways: defaultdict[tuple[float, bool], list[float]] = defaultdict(list)
        for state, (after, _) in row.items():
            x, end = columns[state], columns[after]
            if end != x:
                ways[end, end > x].append(x)
        for (end, right), starts in ways.items():  # those that go the same way are one line
            start, short = (min(starts), -7) if right else (max(starts), 7)
            drawing.line((start, y), (end + short, y))
        for state, (after, _) in row.items():
            drawing.dot(columns[state], y, "stays" if after is state else "goes")
    drawing.width = max(drawing.width, first + apart * (len(columns) - 1) + apart / 2)
    return drawing.svg()


def order_page() -> str:
    """The page about the order of commands: the picture, and the same as tables."""
    head = "| command | " + " | ".join(f"`{state.name}`" for state in State) + " |"
    lines = [
        "---\nhide: [toc]\n---\n",
        "# Order of commands",
        "",
        "The engine looks a command up in one table, `qpsdk/smtp/steps.py`, from which this page is"
        " made. A column is how far the client has come. A dot is where the command may come, an"
        " arrow where it leads when it is accepted; a ring stays where it is.",
        "",
        "<!-- diagram: states -->",
        "",
        *(f"- `{state.name}`: {state.value}" for state in State),
        "",
        "The same as a table, with where a refusal leads, if that is elsewhere:",
        "",
        head,
        "|" + "---|" * (len(State) + 1),
    ]
    for command, row in STEPS.items():
        cells = [_cell(command, state, row.get(state)) for state in State]
        lines.append(f"| {_command(command)} | " + " | ".join(cells) + " |")
    lines += ["", "Out of order, the client is told:", "", "| command | reply |", "|---|---|"]
    lines += [f"| {command} | `{reply}` |" for command, reply in OUT_OF_ORDER.items()]
    return "\n".join(lines)


def _cell(command: str, state: State, step: tuple[State, State] | None) -> str:
    if step is None:
        can_come = state not in (State.CONNECTED, State.MESSAGE, State.CLOSED)
        return "503" if can_come and command in OUT_OF_ORDER else ""
    accepted, refused = step
    after = "stays" if accepted is state else accepted.name
    return after if refused in (state, accepted) else f"{after}, refused: {refused.name}"
