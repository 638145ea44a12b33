/** A claim, as the address of its content names it. */
export interface ExportedClaim {
  readonly namespace: string;
  /** Of the VirtualMachineExport. */
  readonly name: string;
  readonly claim: string;
}

/** Where the content of a claim is, as below the ingress of a real cluster. */
export function contentPath({ namespace, name, claim }: ExportedClaim): string {
  return `/api/export.kubevirt.io/v1beta1/namespaces/${namespace}/virtualmachineexports/${name}/volumes/${claim}/disk.img`;
}

/** The claim whose content a request asks for; undefined: it asks for anything else. */
export function claimAt(url: string): ExportedClaim | undefined {
  const [namespace = '', name = '', claim = ''] = [5, 7, 9].map((index) => url.split('/')[index]);
  const found = { namespace, name, claim };
  return contentPath(found) === url ? found : undefined;
}
