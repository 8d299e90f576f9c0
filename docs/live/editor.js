// An editor for Python that looks like the code it takes the place of. The names are those of the
// page's import map, which docs/hooks/live.py writes.

import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { python } from "@codemirror/lang-python";
import {
  HighlightStyle, bracketMatching, indentOnInput, indentUnit, syntaxHighlighting,
} from "@codemirror/language";
import { EditorState } from "@codemirror/state";
import { EditorView, drawSelection, keymap } from "@codemirror/view";
import { tags } from "@lezer/highlight";

// The theme's own variables, so that light and dark pages have their colours.
const colours = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--md-code-hl-keyword-color)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--md-code-hl-string-color)" },
  { tag: tags.number, color: "var(--md-code-hl-number-color)" },
  { tag: [tags.comment, tags.meta], color: "var(--md-code-hl-comment-color)" },
  { tag: [tags.operator, tags.punctuation], color: "var(--md-code-hl-operator-color)" },
  { tag: [tags.bool, tags.null], color: "var(--md-code-hl-constant-color)" },
  {
    tag: [tags.function(tags.definition(tags.variableName)), tags.definition(tags.className)],
    color: "var(--md-code-hl-function-color)",
  },
]);

const look = EditorView.theme({
  "&": {
    backgroundColor: "var(--md-code-bg-color)",
    color: "var(--md-code-fg-color)",
    fontSize: "0.85em",
  },
  "&.cm-focused": { outline: "0.1rem solid var(--md-accent-fg-color)" },
  ".cm-scroller": { fontFamily: "var(--md-code-font-family), monospace", lineHeight: "1.4" },
  ".cm-content": { padding: "0.772em 1.176em", caretColor: "var(--md-code-fg-color)" },
  ".cm-line": { padding: "0" },
  ".cm-cursor": { borderLeftColor: "var(--md-code-fg-color)" },
  "& .cm-selectionBackground, &.cm-focused .cm-selectionBackground": {
    backgroundColor: "var(--md-code-hl-color--light) !important",
  },
});

// An editor in `parent`. `label` is what a screen reader calls it; `run` and `changed` are called
// when the reader runs it by Ctrl-Enter or Shift-Enter, and when the text is another.
export function edit(parent, doc, { label, run, changed = () => {} }) {
  const ran = () => (run(), true);
  const extensions = [
    history(),
    drawSelection(),
    indentOnInput(),
    indentUnit.of("    "),
    bracketMatching(),
    python(),
    syntaxHighlighting(colours),
    look,
    EditorState.tabSize.of(4),
    EditorView.contentAttributes.of({
      "aria-label": `${label}. Control-Enter runs it; Escape, then Tab, leaves it.`,
      spellcheck: "false",
      autocapitalize: "off",
    }),
    EditorView.updateListener.of((update) => update.docChanged && changed()),
    keymap.of([
      { key: "Mod-Enter", run: ran },
      { key: "Shift-Enter", run: ran },
      indentWithTab,
      ...historyKeymap,
      ...defaultKeymap,
    ]),
  ];
  return new EditorView({ parent, doc, extensions });
}
