import type { ComponentChildren } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';

interface DialogProps {
  readonly label: string;
  /** Called when the person has closed it, by a key or by a form with the method `dialog`. */
  onClose(): void;
  readonly children: ComponentChildren;
}

/** Stands over the page as long as it is there, and gives the focus back. */
export function Dialog({ label, onClose, children }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  const closed = useRef(onClose);
  closed.current = onClose;
  useLayoutEffect(() => {
    const dialog = element.current;
    if (!dialog) return;
    const hear = () => closed.current();
    dialog.showModal();
    dialog.addEventListener('close', hear);
    return () => {
      dialog.removeEventListener('close', hear);
      dialog.close();
    };
  }, []);
  return (
    <dialog ref={element} aria-label={label}>
      {children}
    </dialog>
  );
}
