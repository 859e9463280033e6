// The border where errors become HTTP: one shape for all of them, and nothing of the server's inside in any.

import type { ApiError } from "@jitdb/shared/api/wire";
import { JitdbError, toJitdbError } from "@jitdb/shared/errors";
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { hasZodFastifySchemaValidationErrors } from "fastify-type-provider-zod";
import { challengeFor } from "../identity/authenticator.ts";
import type { AllowedMethods } from "./allowed-methods.ts";

/** The body of an answer that refuses. */
export function errorBody(error: JitdbError, requestId: string): ApiError {
  const { code, message, hint } = error;
  return { error: { code, message, hint, requestId } };
}

/** Makes this the one place where errors of routes become answers. */
export function installErrorBorder(app: FastifyInstance, allowedMethods: AllowedMethods): void {
  app.setErrorHandler(answerError);
  app.setNotFoundHandler((request, reply) => {
    const allowed = allowedMethods.methodsOf(request.url);
    if (allowed.length === 0) {
      return send(reply, request, new JitdbError("api.unknown", "There is nothing at this path."));
    }
    const message = `This path takes ${allowed.join(", ")} only.`;
    return send(
      reply.header("allow", allowed.join(", ")),
      request,
      new JitdbError("api.method", message),
    );
  });
}

/** Turns anything thrown into an answer. What is the server's own fault goes to the log, with its cause. */
export function answerError(
  thrown: FastifyError,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const error = asJitdbError(thrown);
  if (error.forms.http >= 500) {
    request.log.error({ err: error, cause: error.cause, detail: error.detail }, error.message);
  }
  return send(reply, request, error, frameworkStatus(thrown));
}

function send(
  reply: FastifyReply,
  request: FastifyRequest,
  error: JitdbError,
  status: number = error.forms.http,
): FastifyReply {
  const challenge = challengeFor(error.code);
  if (challenge !== undefined) {
    void reply.header("www-authenticate", challenge);
  }
  return reply
    .code(status)
    .type("application/json")
    .serializer(JSON.stringify)
    .send(errorBody(error, request.id));
}

function asJitdbError(thrown: FastifyError): JitdbError {
  if (hasZodFastifySchemaValidationErrors(thrown)) {
    return invalidField(thrown);
  }
  const status = frameworkStatus(thrown);
  if (status === 429) {
    return new JitdbError("login.rate_limited", "Too many attempts from here.");
  }
  // The framework's own words about a body that is too large or no JSON; they hold no values.
  return status === undefined
    ? toJitdbError(thrown)
    : new JitdbError("usage.invalid", thrown.message, { cause: thrown });
}

/** The status of an error that fastify itself raised about the call; undefined for everything else. */
function frameworkStatus(thrown: FastifyError): number | undefined {
  const { statusCode = 500, code = "" } = thrown;
  const isAboutTheCall = statusCode >= 400 && statusCode < 500;
  return isAboutTheCall && (code.startsWith("FST_") || statusCode === 429) ? statusCode : undefined;
}

function invalidField(
  thrown: FastifyError & { validation: readonly { instancePath: string; message?: string }[] },
): JitdbError {
  const [first] = thrown.validation;
  const field = first?.instancePath.slice(1).replaceAll("/", ".") ?? "";
  const where = field === "" ? (thrown.validationContext ?? "body") : field;
  return new JitdbError("usage.invalid", `${where}: ${first?.message ?? "not valid"}.`, {
    cause: thrown,
  });
}
