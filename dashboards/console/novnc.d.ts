/** The part of noVNC that the console uses; the package brings no types (its docs/API.md documents them). */
declare module '@novnc/novnc' {
  // biome-ignore lint/style/noDefaultExport: it is the package's only export
  export default class RFB extends EventTarget {
    /** Connects at once. `url`: of a WebSocket. Throws when the browser refuses the URL. */
    constructor(target: HTMLElement, url: string, options: { readonly wsProtocols: readonly string[] });
    viewOnly: boolean;
    scaleViewport: boolean;
    /** Shows a dot where the machine draws no pointer. */
    showDotCursor: boolean;
    /** A CSS background. */
    background: string;
    focus(): void;
    sendCtrlAltDel(): void;
    /** Harmless when the connection is gone. */
    disconnect(): void;
  }
}
