// Builds DOM nodes: `h("button", { class: "x", onclick }, "Join")`. Text is always text, never markup.

type Value = string | number | boolean | null | undefined | ((event: never) => void);
export type Child = Node | string | null | undefined | false;

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Record<string, Value> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") {
      node.addEventListener(name.slice(2), value as EventListener);
    } else if (value !== null && value !== undefined && value !== false) {
      node.setAttribute(name, value === true ? "" : String(value));
    }
  }
  node.append(...children.filter((child): child is Node | string => Boolean(child)));
  return node;
}

/** Swaps what the page shows for one screen. */
export function show(screen: HTMLElement): void {
  const app = document.getElementById("app");
  app?.replaceChildren(screen);
}

/** Sets text only when it differs, so that screen readers and layout are left alone. */
export function setText(node: Element, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}
