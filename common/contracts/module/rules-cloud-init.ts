import { checkNetworkData } from '../user-data/check-network-data.ts';
import { checkUserData } from '../user-data/check-user-data.ts';
import type { Cursor } from './cursor.ts';
import { DEFAULTS } from './defaults.ts';
import type { Report, Rule } from './rule.ts';
import type { YamlBudget } from './yaml-limits.ts';

/** Reads user data and network data as the guest's cloud-init will. */
export const cloudInitRule =
  (budget: YamlBudget): Rule =>
  (body, report) => {
    for (const vm of body.list('vms')) {
      const { text: userData } = vm.at('cloudInit', 'userData');
      const { text: networkData } = vm.at('cloudInit', 'networkData');
      if (userData !== null) {
        const sshUsername = vm.at('communicator', 'sshUsername').text ?? DEFAULTS.sshUsername;
        const hasSteps = vm.list('provisioners').length > 0;
        reportAll(vm.at('cloudInit', 'userData'), checkUserData(userData, { sshUsername, hasSteps, budget }), report);
      }
      if (networkData !== null)
        reportAll(vm.at('cloudInit', 'networkData'), checkNetworkData(networkData, budget), report);
    }
  };

function reportAll(at: Cursor, findings: ReturnType<typeof checkUserData>, report: Report): void {
  for (const { code, message, severity, ...within } of findings) report(at, code, message, severity, within);
}
