/** Events by virtual time (ms); those of one moment in the order of their registration. */
export class EventQueue {
  #events: { readonly at: number; readonly order: number; run(): Promise<void> }[] = [];
  #order = 0;

  add(at: number, run: () => Promise<void>): void {
    const event = { at, order: this.#order++, run };
    let low = 0;
    let high = this.#events.length;
    // The next one is the last.
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = this.#events[middle];
      if (other && (other.at > at || (other.at === at && other.order > event.order))) low = middle + 1;
      else high = middle;
    }
    this.#events.splice(low, 0, event);
  }

  next(): { readonly at: number; run(): Promise<void> } | undefined {
    return this.#events.pop();
  }
}
