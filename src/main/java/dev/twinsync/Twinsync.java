package dev.twinsync;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;

/** The service: loads {@code routes/}, migrates its own schema and starts to keep both ends in step. */
@SpringBootApplication
public class Twinsync {

    public static void main(String[] args) {
        try {
            SpringApplication.run(Twinsync.class, args);
        } catch (RuntimeException e) {
            // StartFailures has said why; threads that were started already must not keep the process
            System.exit(1);
        }
    }
}
