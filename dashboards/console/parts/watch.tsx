import { useRef } from 'preact/hooks';
import { addressOf } from '../../../common/contracts/api/request.ts';
import type { ModuleView, VmView } from '../../../common/contracts/builds.ts';
import { liftKeys } from '../api/console-viewer.ts';
import { useConsole } from '../api/use-console.ts';
import { vmAddress } from '../api/vm-address.ts';
import { vmKey } from '../state/vm-key.ts';
import { hasSerial, isLeftToPeople, isTyping, isWatchable, machineStateOf, watchingWords } from '../state/watching.ts';
import { Dialog } from './dialog.tsx';
import { HandbuildNotice } from './handbuild-notice.tsx';
import { watchHref } from './module-link.ts';
import { goTo } from './place.tsx';
import { SerialView } from './serial-view.tsx';

interface WatchProps {
  readonly buildId: string;
  readonly module: ModuleView;
  readonly vm: VmView;
  readonly isClone: boolean;
  /** Owner of the build. */
  readonly owner: string | null;
  readonly mayAnswer: boolean;
  /** Reads the build again. */
  refresh(): void;
}

/** The screen of a machine and its serial port as they are now, over the page; a person types while the machine is left to people. */
export function Watch({ buildId, module, vm, isClone, owner, mayAnswer, refresh }: WatchProps) {
  const frame = useRef<HTMLDivElement>(null);
  const close = useRef<HTMLButtonElement>(null);
  const address = vmAddress(buildId, module, vm);
  const isShown = isWatchable(module, vm);
  const machine = isShown ? machineStateOf(vm) : 'gone';
  const role = { machine, isWaiting: isLeftToPeople(vm, isClone), mayAnswer };
  const types = isTyping(role);
  const { connection, viewer } = useConsole(frame, {
    path: addressOf('openConsole', address),
    isShown,
    isTyping: types,
  });
  const onKeyDown = (event: KeyboardEvent) => {
    if (!event.shiftKey || event.key !== 'F12') return;
    event.preventDefault();
    event.stopPropagation();
    close.current?.focus();
  };
  return (
    <Dialog label={`Screen of ${vmKey(module.name, vm.vm)}`} onClose={() => goTo(watchHref(null))}>
      <div class="card-title">
        <h2>{vmKey(module.name, vm.vm)}</h2>
        <form method="dialog" class="actions side">
          {types && connection === 'open' && (
            <>
              <button type="button" onClick={() => viewer.current?.focus()}>
                Type
              </button>
              <button type="button" onClick={() => viewer.current?.sendCtrlAltDel()}>
                Ctrl+Alt+Del
              </button>
            </>
          )}
          <button type="submit" ref={close}>
            Close
          </button>
        </form>
      </div>
      <p role="status">{watchingWords({ ...role, connection })}</p>
      {vm.handbuild && (
        <HandbuildNotice {...{ address, owner, mayAnswer }} handbuild={vm.handbuild} onAnswer={refresh} />
      )}
      <div class="watched">
        <div
          ref={frame}
          class={`console ${types ? 'typing' : ''}`}
          hidden={!isShown}
          onKeyDownCapture={onKeyDown}
          onFocusOut={liftKeys}
        />
        {(isShown || hasSerial(module, vm)) && <SerialView path={addressOf('streamSerial', address)} />}
      </div>
    </Dialog>
  );
}
