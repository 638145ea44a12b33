import { z } from 'zod';
import { complaintAbout } from '../fetch/allowed-addresses.ts';

/** One entry of `fetch.allowedAddresses`. */
export const allowedAddress = z.string().superRefine((entry, context) => {
  const complaint = complaintAbout(entry);
  if (complaint !== undefined) context.addIssue(complaint);
});
