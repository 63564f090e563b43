package dev.twinsync.proof;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import dev.twinsync.devservices.Broker;
import java.nio.file.Path;
import org.slf4j.LoggerFactory;

/** A broker in a process of its own, which can be killed: port, advertised port, folder. */
final class BrokerProcess {

    private BrokerProcess() {}

    public static void main(String[] args) throws Exception {
        ((Logger) LoggerFactory.getLogger(org.slf4j.Logger.ROOT_LOGGER_NAME)).setLevel(Level.WARN);
        Broker.start(Integer.parseInt(args[0]), Integer.parseInt(args[1]), Path.of(args[2]));
    }
}
