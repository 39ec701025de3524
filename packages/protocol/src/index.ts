export { CLOSE, type CloseCode, type CloseName } from './close-codes.ts';
export { ERRORS, type ErrorBody, type ErrorCode, type ErrorRow, errorBody, Refusal } from './errors.ts';
