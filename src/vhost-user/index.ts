export { type BackEndOptions, type Ended, serveVhostUser } from './back-end.js';
export { CAPTURE_HEAD, captureEnd, captureLine } from './capture.js';
export { VhostUserConnection } from './connection.js';
export { connectVhostUser, type FrontEndOptions, VhostUserFrontEnd } from './front-end.js';
export { type RequestForm, requestForm, type VhostUserMessage } from './messages.js';
export { type ProxyDirection, type ProxyEnd, type ProxyOptions, type ProxyTap, runProxy } from './proxy.js';
