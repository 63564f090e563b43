package dev.twinsync.flow;

import dev.twinsync.record.Masking;
import io.github.resilience4j.circuitbreaker.CircuitBreaker;
import io.github.resilience4j.circuitbreaker.CircuitBreaker.State;
import io.github.resilience4j.circuitbreaker.CircuitBreakerConfig;
import io.github.resilience4j.core.IntervalFunction;
import java.time.Duration;
import java.time.Instant;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.apache.camel.CamelContext;
import org.apache.camel.Exchange;
import org.apache.camel.Route;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.stereotype.Component;

/**
 * A circuit breaker per endpoint. While it is open, the flows behind it are suspended: their Kafka consumers pause
 * without leaving their group, so that an outage of hours costs lag and nothing else. Half open, they are resumed and
 * go on from what was committed.
 */
@Component("outages")
public class Outages {

    private static final Logger LOG = LoggerFactory.getLogger(Outages.class);

    private static final IntervalFunction PAUSES = IntervalFunction.ofExponentialRandomBackoff(1000, 2, 0.3, 30_000);

    /** @param cause the failure that began it */
    public record Outage(Instant since, String cause) {}

    private final CamelContext camel;
    private final Commits commits;
    private final FailurePolicy policy;
    private final Map<String, CircuitBreaker> breakers = new ConcurrentHashMap<>();
    private final Map<String, Outage> outages = new ConcurrentHashMap<>();

    /** How long each endpoint asked to be left alone when it last failed, in milliseconds. */
    private final Map<String, Long> asked = new ConcurrentHashMap<>();

    /** Flows that a person has put still. */
    private final Set<String> held = ConcurrentHashMap.newKeySet();

    /** A flow can't be suspended by its own thread, which is at work in it. */
    private final ExecutorService switching = Executors.newSingleThreadExecutor(run -> {
        Thread thread = new Thread(run, "outages");
        thread.setDaemon(true);
        return thread;
    });

    Outages(CamelContext camel, Commits commits, @org.springframework.context.annotation.Lazy FailurePolicy policy) {
        this.camel = camel;
        this.commits = commits;
        this.policy = policy;
    }

    /**
     * Works a batch, or leaves it to be read again while the endpoint is away.
     *
     * @param flows the prefix of the names of the flows that wait together
     * @param work what is done with the batch; a failure that passes, or that is everyone's, begins an outage, any
     *     other is the caller's
     */
    public void work(String flows, Exchange batch, Runnable work) {
        if (commits.behindHole(batch) || open(flows)) {
            commits.abandon(batch);
            return;
        }
        try {
            work.run();
            passed(flows);
        } catch (RuntimeException e) {
            if (!policy.passes(e)) {
                throw e;
            }
            begin(flows, e);
            commits.abandon(batch);
        }
    }

    private boolean open(String flows) {
        return breaker(flows).getState() == State.OPEN;
    }

    private void begin(String flows, Throwable cause) {
        Throwable root = cause;
        while (root.getCause() != null && root.getCause() != root) {
            root = root.getCause();
        }
        String what = root instanceof CallFailed call && call.status() > 0
                ? "HTTP " + call.status()
                : root.getClass().getSimpleName();
        String told = what + ": " + Masking.inText(root.getMessage());
        if (outages.putIfAbsent(flows, new Outage(Instant.now(), told)) == null) {
            LOG.warn("{}* wait: {}", flows, told);
        }
        asked.put(flows, FailurePolicy.asked(cause).toMillis());
        CircuitBreaker breaker = breaker(flows);
        if (breaker.getState() == State.HALF_OPEN) {
            // a failed trial: the breaker itself waits longer each time
            breaker.onError(0, java.util.concurrent.TimeUnit.MILLISECONDS, cause);
        }
        if (breaker.getState() != State.OPEN) {
            breaker.transitionToOpenState();
        }
    }

    private void passed(String flows) {
        CircuitBreaker breaker = breaker(flows);
        if (breaker.getState() != State.CLOSED) {
            breaker.transitionToClosedState();
        }
        Outage over = outages.remove(flows);
        if (over != null) {
            LOG.info(
                    "{}* go on after {} s",
                    flows,
                    Duration.between(over.since(), Instant.now()).toSeconds());
        }
    }

    /** Present outages by the prefix of the flows that wait. */
    public Map<String, Outage> outages() {
        return Map.copyOf(outages);
    }

    /** Each breaker, by the prefix of its flows: closed, open, half_open. One that nothing has met yet is not there. */
    public Map<String, String> states() {
        Map<String, String> states = new TreeMap<>();
        breakers.forEach(
                (flows, breaker) -> states.put(flows, breaker.getState().name().toLowerCase(Locale.ROOT)));
        return states;
    }

    /** Leaves a flow as a person has put it, whatever the endpoint does. */
    public void hold(String flow) {
        held.add(flow);
    }

    public boolean holds(String flow) {
        return held.contains(flow);
    }

    public void release(String flow) {
        held.remove(flow);
    }

    private CircuitBreaker breaker(String flows) {
        return breakers.computeIfAbsent(flows, name -> {
            CircuitBreaker breaker = CircuitBreaker.of(
                    name,
                    CircuitBreakerConfig.custom()
                            .slidingWindowSize(1)
                            .minimumNumberOfCalls(1)
                            .permittedNumberOfCallsInHalfOpenState(1)
                            .waitIntervalFunctionInOpenState(
                                    failed -> Math.max(PAUSES.apply(failed), asked.getOrDefault(name, 0L)))
                            .automaticTransitionFromOpenToHalfOpenEnabled(true)
                            .build());
            breaker.getEventPublisher().onStateTransition(event -> {
                State to = event.getStateTransition().getToState();
                switching.execute(() -> set(name, to != State.OPEN));
            });
            return breaker;
        });
    }

    private void set(String flows, boolean running) {
        for (Route route : camel.getRoutes()) {
            String id = route.getRouteId();
            if (!id.startsWith(flows) || held.contains(id)) {
                continue;
            }
            try {
                if (running && camel.getRouteController().getRouteStatus(id).isSuspended()) {
                    camel.getRouteController().resumeRoute(id);
                } else if (!running
                        && camel.getRouteController().getRouteStatus(id).isStarted()) {
                    camel.getRouteController().suspendRoute(id);
                }
            } catch (Exception e) {
                LOG.error("{} can't be {}", id, running ? "resumed" : "suspended", e);
            }
        }
    }
}
