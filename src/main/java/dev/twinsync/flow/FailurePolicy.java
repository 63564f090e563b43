package dev.twinsync.flow;

import com.fasterxml.jackson.core.JsonProcessingException;
import java.io.IOException;
import java.sql.SQLException;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.Supplier;

/** Tells the four kinds of failure apart; the lists and pauses are those of {@code routes/shared/error-policy}. */
public class FailurePolicy {

    /** What a failure means for the message that met it. */
    public enum Kind {
        /** Passes: tried again in place, then waited for. */
        TRANSIENT,
        /** Nobody gets through: waited for, and health names it. */
        EVERYONES,
        /** This record is refused for good: a dead letter at once. */
        PERMANENT,
        /** Not understood: a few tries, then a dead letter. */
        UNKNOWN
    }

    /** An endpoint that comes back sooner than it said is not left alone for longer than this. */
    private static final Duration LONGEST_ASKED = Duration.ofMinutes(10);

    private int attempts = 3;
    private long pause = 200;
    private long longestPause = 5000;
    private int loneFailures = 8;
    private List<Integer> transientStatus = List.of();
    private List<Integer> everyonesStatus = List.of();
    private List<String> everyonesSqlState = List.of();
    private List<String> permanentSqlState = List.of();

    public Kind kind(Throwable failure) {
        boolean connectionLost = false;
        for (Throwable at = failure; at != null; at = at.getCause() == at ? null : at.getCause()) {
            // a pool whose connection has broken says so in an exception that no server gave a state
            connectionLost |= at instanceof SQLException sql && sql.getSQLState() == null;
            if (at instanceof CallFailed call) {
                if (call.status() == 0 || transientStatus.contains(call.status())) {
                    return Kind.TRANSIENT;
                }
                if (everyonesStatus.contains(call.status())) {
                    return Kind.EVERYONES;
                }
                return call.status() >= 400 && call.status() < 500 ? Kind.PERMANENT : Kind.TRANSIENT;
            }
            if (at instanceof SQLException sql && sql.getSQLState() != null) {
                String state = sql.getSQLState();
                if (permanentSqlState.stream().anyMatch(state::startsWith)) {
                    return Kind.PERMANENT;
                }
                // 57P01 and its like are a server that is being restarted: it comes back
                if (state.startsWith("57P")) {
                    return Kind.TRANSIENT;
                }
                if (everyonesSqlState.stream().anyMatch(state::startsWith)) {
                    return Kind.EVERYONES;
                }
                return Kind.TRANSIENT;
            }
            if (at instanceof JsonProcessingException) {
                // an IOException by birth, but it is this message's: waited for, it would hold up all the others for
                // ever
                return Kind.PERMANENT;
            }
            if (at instanceof IOException
                    || at instanceof InterruptedException // the service stops: what it could not do comes again
                    || at instanceof org.springframework.dao.TransientDataAccessException
                    || at instanceof org.springframework.transaction.CannotCreateTransactionException
                    || at instanceof org.apache.kafka.common.errors.RetriableException) {
                return Kind.TRANSIENT;
            }
        }
        return connectionLost ? Kind.TRANSIENT : Kind.UNKNOWN;
    }

    /** Whether a failure is waited for: it passes, or it is everyone's until somebody mends it. */
    public boolean passes(Throwable failure) {
        Kind kind = kind(failure);
        return kind == Kind.TRANSIENT || kind == Kind.EVERYONES;
    }

    /**
     * Whether a failure that passes may come of one record alone: the database answered, is well, and did not do it (a
     * lock that was not to be had, a deadlock, a trigger that fails).
     */
    public boolean mayBeOneRecords(Throwable failure) {
        if (kind(failure) != Kind.TRANSIENT) {
            return false;
        }
        for (Throwable at = failure; at != null; at = at.getCause() == at ? null : at.getCause()) {
            if (at instanceof SQLException sql && sql.getSQLState() != null) {
                // 08 the connection, 25 its transaction, 53 no room, 57 stopped, 58 the machine under it
                return List.of("08", "25", "53", "57", "58").stream().noneMatch(sql.getSQLState()::startsWith);
            }
        }
        return false;
    }

    /** Tries in place, with growing pauses, while the failure is one that passes. */
    public <T> T patiently(Supplier<T> call) {
        for (int attempt = 1; ; attempt++) {
            try {
                return call.get();
            } catch (RuntimeException e) {
                Duration pause = kind(e) == Kind.TRANSIENT ? pauseAfter(attempt, e) : null;
                if (pause == null) {
                    throw e;
                }
                pause(pause, e);
            }
        }
    }

    /** Waits; where the thread is to end, what it could not do is thrown instead. */
    static void pause(Duration pause, RuntimeException cause) {
        try {
            Thread.sleep(pause.toMillis());
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            throw cause;
        }
    }

    /** Waits; where the thread is to end, it throws what passes: the message comes again. */
    public void pause(Duration pause) {
        pause(pause, new IllegalStateException(new InterruptedException("the service stops")));
    }

    /** How long to wait before the next attempt, or null to give up in place. */
    public Duration pauseAfter(int attempt, Throwable failure) {
        if (attempt >= attempts) {
            return null;
        }
        long millis = Math.min(longestPause, pause << Math.min(20, attempt - 1));
        millis = millis / 2 + ThreadLocalRandom.current().nextLong(millis / 2 + 1);
        long asked = asked(failure).toMillis();
        return asked > longestPause ? null : Duration.ofMillis(Math.max(millis, asked));
    }

    /** How long the endpoint asked to be left alone ({@code Retry-After}), ten minutes at most, or zero. */
    public static Duration asked(Throwable failure) {
        for (Throwable at = failure; at != null; at = at.getCause() == at ? null : at.getCause()) {
            if (at instanceof CallFailed call && call.retryAfter() != null) {
                return call.retryAfter().compareTo(LONGEST_ASKED) > 0 ? LONGEST_ASKED : call.retryAfter();
            }
        }
        return Duration.ZERO;
    }

    public int loneFailures() {
        return loneFailures;
    }

    public void setAttempts(int attempts) {
        this.attempts = attempts;
    }

    public void setPause(long pause) {
        this.pause = pause;
    }

    public void setLongestPause(long longestPause) {
        this.longestPause = longestPause;
    }

    public void setLoneFailures(int loneFailures) {
        this.loneFailures = loneFailures;
    }

    public void setTransientStatus(String list) {
        transientStatus = numbers(list);
    }

    public void setEveryonesStatus(String list) {
        everyonesStatus = numbers(list);
    }

    public void setEveryonesSqlState(String list) {
        everyonesSqlState = words(list);
    }

    public void setPermanentSqlState(String list) {
        permanentSqlState = words(list);
    }

    private static List<String> words(String list) {
        return Arrays.stream(list.split("[,\\s]+"))
                .filter(word -> !word.isEmpty())
                .toList();
    }

    private static List<Integer> numbers(String list) {
        return words(list).stream().map(Integer::valueOf).toList();
    }
}
