package dev.twinsync;

import dev.twinsync.record.Schemas;
import org.springframework.boot.SpringBootExceptionReporter;
import org.springframework.boot.web.server.PortInUseException;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.core.Ordered;
import org.springframework.core.annotation.Order;

/**
 * Says in one line on stderr why the service does not start: the setting, file or field, and what to write. Whoever
 * wants the stack trace starts it with {@code --debug}.
 */
@Order(Ordered.HIGHEST_PRECEDENCE)
class StartFailures implements SpringBootExceptionReporter {

    private static final int LONGEST = 1000;

    private final boolean debug;

    StartFailures(ConfigurableApplicationContext context) {
        debug = context != null && "true".equals(debug(context));
    }

    private static String debug(ConfigurableApplicationContext context) {
        String debug = context.getEnvironment().getProperty("debug");
        return "".equals(debug) ? "true" : debug;
    }

    @Override
    public boolean reportException(Throwable failure) {
        System.err.println("Twinsync does not start: " + told(failure));
        if (debug) {
            failure.printStackTrace();
        }
        return true;
    }

    static String told(Throwable failure) {
        Throwable root = failure;
        for (Throwable at = failure; at != null; at = at.getCause() == at ? null : at.getCause()) {
            if (at instanceof InvalidSetting || at instanceof Schemas.InvalidSchema) {
                return line(at.getMessage());
            }
            if (at instanceof PortInUseException port) {
                return "port " + port.getPort() + " is taken: stop what listens there, or set SERVER_PORT or"
                        + " MANAGEMENT_PORT to another";
            }
            root = at;
        }
        String message = root.getMessage() == null ? "" : root.getMessage();
        return line(
                root == failure || !message.isBlank()
                        ? root.getClass().getSimpleName() + ": " + message
                        : failure.toString());
    }

    private static String line(String message) {
        String line = String.valueOf(message).replaceAll("\\s+", " ").strip();
        return line.length() > LONGEST ? line.substring(0, LONGEST) + "…" : line;
    }
}
