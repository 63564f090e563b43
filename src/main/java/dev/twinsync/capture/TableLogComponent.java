package dev.twinsync.capture;

import java.util.Map;
import org.apache.camel.Endpoint;
import org.apache.camel.support.DefaultComponent;
import org.springframework.stereotype.Component;

/**
 * {@code table-log:app?keys=public.orders.order_id, public.order_items.order_id}: the log of a system's database. Each
 * message is what one batch of it taught ({@link Learned}); the batch is done with only when the message is.
 */
@Component("table-log")
class TableLogComponent extends DefaultComponent {

    private final LogSettings settings;
    private final TableLogs logs;
    private final LogSlot slots;
    private final Capture capture;

    TableLogComponent(LogSettings settings, TableLogs logs, LogSlot slots, Capture capture) {
        this.settings = settings;
        this.logs = logs;
        this.slots = slots;
        this.capture = capture;
    }

    @Override
    protected Endpoint createEndpoint(String uri, String remaining, Map<String, Object> parameters) throws Exception {
        if (!remaining.equals("app")) {
            throw new IllegalArgumentException("table-log:" + remaining + ": only the app's database has a log here");
        }
        TableLogEndpoint endpoint = new TableLogEndpoint(uri, this);
        setProperties(endpoint, parameters);
        return endpoint;
    }

    LogSettings settings() {
        return settings;
    }

    TableLogs logs() {
        return logs;
    }

    LogSlot slots() {
        return slots;
    }

    Capture capture() {
        return capture;
    }
}
