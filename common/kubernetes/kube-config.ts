import { KubeConfig } from '@kubernetes/client-node';
import type { ClusterConfig } from '../config/schema.ts';
import { wrapError } from '../errors/farm-error.ts';

/**
 * Reads the credentials of a cluster. The user gets a name of its own, because client-node keeps tokens of exec plugins
 * by user name for the whole process, and two clusters may call their users alike.
 */
export function loadKubeConfig(config: ClusterConfig): KubeConfig {
  const kubeConfig = new KubeConfig();
  try {
    if (config.kubeconfig) kubeConfig.loadFromFile(config.kubeconfig);
    else kubeConfig.loadFromCluster();
    if (config.context) kubeConfig.setCurrentContext(config.context);
    const [cluster, user] = [kubeConfig.getCurrentCluster(), kubeConfig.getCurrentUser()];
    if (!cluster || !user) throw new Error('the context names no cluster or no user');
    kubeConfig.loadFromClusterAndUser(cluster, { ...user, name: `${config.name}/${user.name}` });
    return kubeConfig;
  } catch (error) {
    throw wrapError(error, `Reading the kubeconfig of cluster "${config.name}"`, 'InvalidConfig');
  }
}
