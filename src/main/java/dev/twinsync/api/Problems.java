package dev.twinsync.api;

import dev.twinsync.deadletter.DeadLetters;
import java.util.List;
import java.util.NoSuchElementException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.http.HttpHeaders;
import org.springframework.http.HttpStatus;
import org.springframework.http.HttpStatusCode;
import org.springframework.http.MediaType;
import org.springframework.http.ProblemDetail;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.ExceptionHandler;
import org.springframework.web.bind.annotation.RestControllerAdvice;
import org.springframework.web.context.request.WebRequest;
import org.springframework.web.servlet.mvc.method.annotation.ResponseEntityExceptionHandler;

/** Makes every failure of a call a problem document. */
@RestControllerAdvice
class Problems extends ResponseEntityExceptionHandler {

    private static final Logger LOG = LoggerFactory.getLogger(Problems.class);

    @ExceptionHandler(Problem.class)
    ResponseEntity<ProblemDetail> problem(Problem problem) {
        return answer(problem.detail());
    }

    @ExceptionHandler(DeadLetters.Refused.class)
    ResponseEntity<ProblemDetail> refused(DeadLetters.Refused refused) {
        HttpStatus status = refused.problems().isEmpty() ? HttpStatus.CONFLICT : HttpStatus.UNPROCESSABLE_ENTITY;
        return answer(Problem.of(status, refused.getMessage(), refused.problems()));
    }

    @ExceptionHandler(dev.twinsync.verification.Verifications.Refused.class)
    ResponseEntity<ProblemDetail> refused(dev.twinsync.verification.Verifications.Refused refused) {
        return answer(Problem.of(HttpStatus.CONFLICT, refused.getMessage(), List.of()));
    }

    @ExceptionHandler(dev.twinsync.operations.Flows.Refused.class)
    ResponseEntity<ProblemDetail> refused(dev.twinsync.operations.Flows.Refused refused) {
        return answer(Problem.of(HttpStatus.CONFLICT, refused.getMessage(), List.of()));
    }

    @ExceptionHandler(NoSuchElementException.class)
    ResponseEntity<ProblemDetail> missing(NoSuchElementException missing) {
        return answer(Problem.of(HttpStatus.NOT_FOUND, missing.getMessage(), List.of()));
    }

    @ExceptionHandler(Exception.class)
    ResponseEntity<ProblemDetail> unforeseen(Exception e) {
        boolean away = false;
        for (Throwable at = e; at != null; at = at.getCause() == at ? null : at.getCause()) {
            away |= at instanceof org.apache.kafka.common.KafkaException
                    || at instanceof java.util.concurrent.TimeoutException
                    // the flows do not run yet, or no more
                    || at instanceof java.util.concurrent.RejectedExecutionException
                    || at instanceof org.springframework.dao.DataAccessResourceFailureException
                    || at instanceof org.springframework.transaction.CannotCreateTransactionException
                    // the server went away in the middle: the roll-back's failure hides the statement's
                    || at instanceof org.springframework.transaction.TransactionSystemException
                    || at instanceof java.sql.SQLTransientConnectionException;
        }
        // the log has the cause; the caller learns nothing of the inside
        if (away) {
            LOG.warn("a call was put off: {}", e.toString());
        } else {
            LOG.error("a call failed", e);
        }
        HttpStatus status = away ? HttpStatus.SERVICE_UNAVAILABLE : HttpStatus.INTERNAL_SERVER_ERROR;
        return answer(
                Problem.of(status, away ? "not now: nothing was taken, try again" : "an error of ours", List.of()));
    }

    @Override
    protected ResponseEntity<Object> handleExceptionInternal(
            Exception e, Object body, HttpHeaders headers, HttpStatusCode status, WebRequest request) {
        return ResponseEntity.status(status)
                .headers(headers)
                .contentType(MediaType.APPLICATION_PROBLEM_JSON)
                .body(Problem.of(
                        status,
                        e instanceof org.springframework.web.ErrorResponse r
                                        && r.getBody().getDetail() != null
                                ? r.getBody().getDetail()
                                : "the call can't be understood",
                        List.of()));
    }

    private static ResponseEntity<ProblemDetail> answer(ProblemDetail detail) {
        ResponseEntity.BodyBuilder answer =
                ResponseEntity.status(detail.getStatus()).contentType(MediaType.APPLICATION_PROBLEM_JSON);
        if (detail.getStatus() == 503 || detail.getStatus() == 429) {
            answer.header(HttpHeaders.RETRY_AFTER, "1");
        }
        return answer.body(detail);
    }
}
