package dev.twinsync.flow;

import java.time.Duration;

/** A call to a system's API was answered, but not with success; or its answer was not the contract's. */
public class CallFailed extends RuntimeException {

    private final int status;
    private final Duration retryAfter;
    private final String code;
    private final String field;

    /**
     * @param status HTTP status; 0 where the answer was not the contract's (HTML, cut JSON, missing results)
     * @param retryAfter as the system asked, or null
     * @param code the system's own code, or null
     * @param field the field that was refused, or null
     */
    public CallFailed(int status, String message, Duration retryAfter, String code, String field) {
        super(message);
        this.status = status;
        this.retryAfter = retryAfter;
        this.code = code;
        this.field = field;
    }

    public int status() {
        return status;
    }

    public Duration retryAfter() {
        return retryAfter;
    }

    public String code() {
        return code;
    }

    public String field() {
        return field;
    }
}
