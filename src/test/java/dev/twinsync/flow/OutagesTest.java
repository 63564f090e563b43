package dev.twinsync.flow;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import java.time.Duration;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.camel.Exchange;
import org.apache.camel.impl.DefaultCamelContext;
import org.apache.camel.support.DefaultExchange;
import org.junit.jupiter.api.Test;

/** How long an endpoint that is away is left alone. */
class OutagesTest {

    private static final String FLOWS = "deliver-mini-";

    private final DefaultCamelContext camel = new DefaultCamelContext();
    private final FailurePolicy policy = new FailurePolicy();
    private final Outages outages = new Outages(camel, new Commits(letters -> {}), policy);

    @Test
    void noSoonerThanItAskedAndAgainAfterATrialThatFails() {
        policy.setTransientStatus("429");
        long since = System.nanoTime();
        // by itself it is tried again after 0.7 to 1.3 s, and then after 1.4 to 2.6 s
        callAsksFor(Duration.ofSeconds(3));
        callAsksFor(Duration.ofSeconds(4));
        assertThat(Duration.ofNanos(System.nanoTime() - since)).isGreaterThanOrEqualTo(Duration.ofSeconds(3));
        assertThat(outages.outages()).containsOnlyKeys(FLOWS);
        since = System.nanoTime();
        call(() -> {});
        assertThat(Duration.ofNanos(System.nanoTime() - since)).isGreaterThanOrEqualTo(Duration.ofMillis(3900));
        assertThat(outages.outages()).isEmpty();
        // what was asked then is over
        since = System.nanoTime();
        callAsksFor(null);
        call(() -> {});
        assertThat(Duration.ofNanos(System.nanoTime() - since)).isLessThan(Duration.ofMillis(2500));
    }

    private void callAsksFor(Duration time) {
        call(() -> {
            throw new CallFailed(429, "slow down", time, null, null);
        });
    }

    /** Brings batches until one is worked: while the endpoint is left alone, none is. */
    private void call(Runnable work) {
        AtomicBoolean called = new AtomicBoolean();
        await().atMost(Duration.ofSeconds(30))
                .pollInterval(Duration.ofMillis(20))
                .until(() -> {
                    outages.work(FLOWS, batch(), () -> {
                        called.set(true);
                        work.run();
                    });
                    return called.get();
                });
    }

    private Exchange batch() {
        DefaultExchange exchange = new DefaultExchange(camel);
        exchange.getExchangeExtension().setFromRouteId(FLOWS + "orders");
        exchange.getMessage().setBody(List.of());
        return exchange;
    }
}
