/**
 * Stands where the SDK's transport imports `@daily-co/daily-js`.
 *
 * That library is only used by the SDK's default media manager, which fetches code from the
 * network. We always pass our own (`media.ts`), so nothing here may ever be called.
 */
export default {
  getCallInstance(): never {
    throw new Error("This page brings its own media manager; daily-js is not part of it.");
  },
  createCallObject(): never {
    throw new Error("This page brings its own media manager; daily-js is not part of it.");
  },
};
